// The parts of records that the database keeps as JSON text: a field can be
// added without a new schema, and people can read them.
#ifndef SEER_SERVER_CATALOG_ROWS_RECORD_JSON_H_
#define SEER_SERVER_CATALOG_ROWS_RECORD_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/catalog/calibration_records.h"

namespace seer {

std::string ToJson(const CalibrationSpec& spec);
std::string ToJson(const CalibrationProgress& progress);
std::string ToJson(const GateQuality& quality);
std::string ToJson(const ProvenanceRecord& provenance);

// The reverse. Members that are missing or not of their type keep their
// default, others are ignored: so older and newer servers read each other's.
// Numbers that are not finite come back as NaN.
void FromJson(absl::string_view json, CalibrationSpec& spec);
void FromJson(absl::string_view json, CalibrationProgress& progress);
void FromJson(absl::string_view json, GateQuality& quality);
void FromJson(absl::string_view json, ProvenanceRecord& provenance);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_ROWS_RECORD_JSON_H_
