// Parts of records that several tables have, as columns and back. What is empty
// or unset is NULL.
#ifndef SEER_SERVER_CATALOG_ROWS_ROW_COLUMNS_H_
#define SEER_SERVER_CATALOG_ROWS_ROW_COLUMNS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/catalog/calibration_records.h"
#include "server/catalog/storage/database.h"

namespace seer {

// Of the column `column`; a failure, of that and the next.
absl::Time ReadTime(const Query& query, int column, absl::Time if_null);
std::optional<Failure> ReadFailure(const Query& query, int column);
std::optional<GateQuality> ReadQuality(const Query& query, int column);

// An infinite time is NULL.
std::optional<int64_t> StoredTime(absl::Time time);
std::optional<std::string> StoredText(const std::string& text);
std::optional<std::string> StoredReason(const std::optional<Failure>& failure);
std::optional<std::string> StoredMessage(const std::optional<Failure>& failure);
std::optional<std::string> StoredQuality(
    const std::optional<GateQuality>& quality);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_ROWS_ROW_COLUMNS_H_
