#include "client/output/admin/resource_words.h"

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/output/words.h"

namespace seer {

std::string Word(v1::UploadFormat format) {
  return WordOf(v1::UploadFormat_Name(format), "UPLOAD_FORMAT_");
}

std::string Word(v1::CalibrationTarget target) {
  return WordOf(v1::CalibrationTarget_Name(target), "CALIBRATION_TARGET_");
}

std::string Word(v1::CalibrationLoss loss) {
  return WordOf(v1::CalibrationLoss_Name(loss), "CALIBRATION_LOSS_");
}

std::string Word(v1::CalibrationJobState state) {
  return WordOf(v1::CalibrationJobState_Name(state), "CALIBRATION_JOB_STATE_");
}

std::string Word(v1::CalibrationPhase phase) {
  return WordOf(v1::CalibrationPhase_Name(phase), "CALIBRATION_PHASE_");
}

std::string Word(v1::GateRolloutCause cause) {
  return WordOf(v1::GateRolloutCause_Name(cause), "GATE_ROLLOUT_CAUSE_");
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                          absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string SizeText(int64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(kUnits); ++unit) size /= 1024;
  return absl::StrFormat("%.1f %s", size, kUnits[unit]);
}

}  // namespace seer
