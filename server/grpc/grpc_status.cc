#include "server/grpc/grpc_status.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/logging.h"
#include "engine/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace seer {
namespace {

constexpr char kDomain[] = "seer";
constexpr size_t kMaxMessageBytes = 512;

// Whether the message of this code may hold what is not the client's business.
bool IsInternal(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal ||
         code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

// At most kMaxMessageBytes, cut between UTF-8 characters.
std::string Cut(absl::string_view message) {
  if (message.size() <= kMaxMessageBytes) return std::string(message);
  size_t size = kMaxMessageBytes - 3;
  while (size > 0 && (message[size] & 0xc0) == 0x80) --size;
  return absl::StrCat(message.substr(0, size), "...");
}

std::string ClientMessage(const absl::Status& status,
                          absl::string_view request_id) {
  if (const auto field = FieldOf(status)) {
    return Cut(absl::StrCat(*field, " ", status.message()));
  }
  if (!IsInternal(status.code())) return Cut(status.message());
  Log(LogLevel::kError, "internal error",
      {{"request_id", request_id}, {"error", status.ToString()}});
  return "internal error";
}

void AddDetails(const absl::Status& status, absl::string_view request_id,
                const std::string& message, google::rpc::Status& out) {
  if (const auto field = FieldOf(status)) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(*field);
    violation->set_description(Cut(status.message()));
    out.add_details()->PackFrom(bad_request);
  }
  if (const auto reason = ReasonOf(status)) {
    google::rpc::ErrorInfo info;
    info.set_domain(kDomain);
    info.set_reason(reason->reason);
    if (reason->limit) {
      (*info.mutable_metadata())["limit"] = absl::StrCat(*reason->limit);
    }
    if (reason->got) {
      (*info.mutable_metadata())["got"] = absl::StrCat(*reason->got);
    }
    out.add_details()->PackFrom(info);
  }
  if (auto delay = RetryDelayOf(status)) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(
        absl::IDivDuration(*delay, absl::Seconds(1), &*delay));
    info.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*delay)));
    out.add_details()->PackFrom(info);
  }
  if (const auto resource = ResourceOf(status)) {
    google::rpc::ResourceInfo info;
    info.set_resource_type(resource->type);
    info.set_resource_name(resource->name);
    info.set_description(message);
    out.add_details()->PackFrom(info);
  }
  if (!request_id.empty()) {
    google::rpc::RequestInfo info;
    info.set_request_id(std::string(request_id));
    out.add_details()->PackFrom(info);
  }
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view request_id) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(ClientMessage(status, request_id));
  AddDetails(status, request_id, details.message(), details);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      details.message(), details.SerializeAsString());
}

absl::Status WithDefaultRetryDelay(absl::Status status) {
  const bool retriable =
      absl::IsUnavailable(status) ||
      (absl::IsResourceExhausted(status) && !ReasonOf(status));
  if (!retriable || RetryDelayOf(status)) return status;
  return WithRetryDelay(std::move(status), absl::Seconds(1));
}

}  // namespace seer
