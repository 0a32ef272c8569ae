#include "engine/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace seer {
namespace {

constexpr char kField[] = "seer/field";
constexpr char kReason[] = "seer/reason";
constexpr char kLimit[] = "seer/limit";
constexpr char kGot[] = "seer/got";
constexpr char kRetryNanos[] = "seer/retry_nanos";
constexpr char kResourceType[] = "seer/resource_type";
constexpr char kResourceName[] = "seer/resource_name";

std::optional<std::string> Text(const absl::Status& status, const char* key) {
  const auto payload = status.GetPayload(key);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

std::optional<int64_t> Number(const absl::Status& status, const char* key) {
  const std::optional<std::string> text = Text(status, key);
  int64_t value;
  if (!text.has_value() || !absl::SimpleAtoi(*text, &value)) {
    return std::nullopt;
  }
  return value;
}

void Set(absl::Status& status, const char* key, absl::string_view value) {
  status.SetPayload(key, absl::Cord(value));
}

}  // namespace

absl::Status InvalidField(absl::string_view field, absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  Set(status, kField, field);
  return status;
}

std::optional<std::string> FieldOf(const absl::Status& status) {
  return Text(status, kField);
}

absl::Status WithReason(absl::Status status, const ErrorReason& reason) {
  Set(status, kReason, reason.reason);
  if (reason.limit) Set(status, kLimit, absl::StrCat(*reason.limit));
  if (reason.got) Set(status, kGot, absl::StrCat(*reason.got));
  return status;
}

std::optional<ErrorReason> ReasonOf(const absl::Status& status) {
  const std::optional<std::string> reason = Text(status, kReason);
  if (!reason.has_value()) return std::nullopt;
  return ErrorReason{*reason, Number(status, kLimit), Number(status, kGot)};
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  Set(status, kRetryNanos, absl::StrCat(absl::ToInt64Nanoseconds(delay)));
  return status;
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const std::optional<int64_t> nanos = Number(status, kRetryNanos);
  if (!nanos.has_value()) return std::nullopt;
  return absl::Nanoseconds(*nanos);
}

absl::Status WithResource(absl::Status status, absl::string_view type,
                          absl::string_view name) {
  Set(status, kResourceType, type);
  Set(status, kResourceName, name);
  return status;
}

std::optional<ResourceName> ResourceOf(const absl::Status& status) {
  const std::optional<std::string> type = Text(status, kResourceType);
  const std::optional<std::string> name = Text(status, kResourceName);
  if (!type.has_value() || !name.has_value()) return std::nullopt;
  return ResourceName{*type, *name};
}

}  // namespace seer
