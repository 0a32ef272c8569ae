#include "client/connection/error_details.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/any.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace seer {
namespace {

// True, with `message` filled, where `any` holds a Message.
template <typename Message>
bool Unpack(const google::protobuf::Any& any, Message* message) {
  return any.Is<Message>() && any.UnpackTo(message);
}

void AddDetail(const google::protobuf::Any& any, ErrorDetails* details) {
  google::rpc::BadRequest bad_request;
  google::rpc::ErrorInfo error_info;
  google::rpc::RetryInfo retry_info;
  google::rpc::ResourceInfo resource_info;
  google::rpc::RequestInfo request_info;
  if (Unpack(any, &bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      details->fields.push_back({violation.field(), violation.description()});
    }
  } else if (Unpack(any, &error_info)) {
    details->reason = error_info.reason();
    details->metadata.insert(error_info.metadata().begin(),
                             error_info.metadata().end());
  } else if (Unpack(any, &retry_info)) {
    details->retry_delay = absl::Seconds(retry_info.retry_delay().seconds()) +
                           absl::Nanoseconds(retry_info.retry_delay().nanos());
  } else if (Unpack(any, &resource_info)) {
    details->resource_type = resource_info.resource_type();
    details->resource_name = resource_info.resource_name();
  } else if (Unpack(any, &request_info)) {
    details->request_id = request_info.request_id();
  }
}

// Backslashes and control characters as C escapes; quotes stay as they are.
std::string EscapeControls(absl::string_view line) {
  return absl::StrReplaceAll(
      absl::Utf8SafeCHexEscape(line),
      {{R"(\\)", R"(\\)"}, {R"(\')", "'"}, {R"(\")", "\""}});
}

}  // namespace

absl::Status StatusFromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // The two enumerations are defined to have the same values.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) {
      result.SetPayload(any.type_url(), absl::Cord(any.value()));
    }
  }
  return result;
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    google::protobuf::Any any;
    any.set_type_url(std::string(url));
    any.set_value(std::string(payload));
    AddDetail(any, &details);
  });
  return details;
}

absl::Status WithErrorInfo(absl::Status status, const std::string& reason,
                           const std::map<std::string, std::string>& metadata) {
  google::rpc::ErrorInfo error_info;
  error_info.set_reason(reason);
  error_info.set_domain("seer");
  error_info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  google::protobuf::Any any;
  any.PackFrom(error_info);
  status.SetPayload(any.type_url(), absl::Cord(any.value()));
  return status;
}

absl::Status WithNote(const absl::Status& status, absl::string_view note) {
  absl::Status noted(status.code(), absl::StrCat(status.message(), "; ", note));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    noted.SetPayload(url, payload);
  });
  return noted;
}

std::string DescribeError(const absl::Status& status) {
  if (status.ok()) return "OK";
  const ErrorDetails details = DetailsOf(status);
  std::vector<std::string> notes;
  for (const ErrorDetails::Field& field : details.fields) {
    if (absl::StrContains(status.message(), field.path)) continue;
    notes.push_back(absl::StrCat("field ", field.path));
  }
  if (!details.reason.empty()) {
    std::string note = absl::StrCat("reason ", details.reason);
    for (const auto& [key, value] : details.metadata) {
      absl::StrAppend(&note, " ", key, "=", value);
    }
    notes.push_back(std::move(note));
  }
  if (!details.resource_name.empty()) {
    notes.push_back(absl::StrCat("resource ", details.resource_name));
  }
  if (details.retry_delay.has_value()) {
    notes.push_back(absl::StrCat("retry after ",
                                 absl::FormatDuration(*details.retry_delay)));
  }
  if (!details.request_id.empty()) {
    notes.push_back(absl::StrCat("request ", details.request_id));
  }
  std::string line = absl::StatusCodeToString(status.code());
  if (!status.message().empty()) absl::StrAppend(&line, ": ", status.message());
  if (!notes.empty()) {
    absl::StrAppend(&line, " (", absl::StrJoin(notes, "; "), ")");
  }
  return EscapeControls(line);
}

}  // namespace seer
