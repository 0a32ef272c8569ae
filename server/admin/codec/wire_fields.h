// Fields that several messages of GateAdminService have.
#ifndef SEER_SERVER_ADMIN_CODEC_WIRE_FIELDS_H_
#define SEER_SERVER_ADMIN_CODEC_WIRE_FIELDS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/catalog/calibration_records.h"
#include "server/catalog/records.h"

namespace seer {

// Errors of all of them: INVALID_ARGUMENT at the field.

// 0 stands for 100. The token is for the catalog to judge.
absl::StatusOr<PageRequest> DecodePage(int32_t page_size,
                                       const std::string& page_token);

absl::Status CheckDisplayName(absl::string_view display_name,
                              absl::string_view field);
// "request_id", which may be empty.
absl::Status CheckRequestId(absl::string_view request_id);

// To the microsecond, as the catalog keeps times: what was just made looks as
// it will after a restart.
google::protobuf::Timestamp EncodeTime(absl::Time time);
v1::Failure EncodeFailure(const Failure& failure);
v1::UploadFormat EncodeFormat(UploadFormat format);
// UNSPECIFIED of a word that is none, such as "".
v1::CalibrationTarget EncodeTarget(absl::string_view target);
v1::CalibrationLoss EncodeLoss(absl::string_view loss);
v1::GateQuality EncodeQuality(const GateQuality& quality);

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CODEC_WIRE_FIELDS_H_
