#include "server/catalog/rows/row_columns.h"

#include "server/catalog/rows/record_json.h"

namespace seer {

absl::Time ReadTime(const Query& query, int column, absl::Time if_null) {
  if (query.IsNull(column)) return if_null;
  return absl::FromUnixMicros(query.Int(column));
}

std::optional<int64_t> StoredTime(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) {
    return std::nullopt;
  }
  return absl::ToUnixMicros(time);
}

std::optional<std::string> StoredText(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<Failure> ReadFailure(const Query& query, int column) {
  if (query.IsNull(column)) return std::nullopt;
  return Failure{query.Text(column), query.Text(column + 1)};
}

std::optional<std::string> StoredReason(const std::optional<Failure>& failure) {
  if (!failure) return std::nullopt;
  return failure->reason;
}

std::optional<std::string> StoredMessage(
    const std::optional<Failure>& failure) {
  if (!failure) return std::nullopt;
  return failure->message;
}

std::optional<GateQuality> ReadQuality(const Query& query, int column) {
  if (query.IsNull(column)) return std::nullopt;
  GateQuality quality;
  FromJson(query.Text(column), quality);
  return quality;
}

std::optional<std::string> StoredQuality(
    const std::optional<GateQuality>& quality) {
  if (!quality) return std::nullopt;
  return ToJson(*quality);
}

}  // namespace seer
