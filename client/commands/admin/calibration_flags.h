// The settings of a calibration job, from flags.
#ifndef SEER_CLIENT_COMMANDS_ADMIN_CALIBRATION_FLAGS_H_
#define SEER_CLIENT_COMMANDS_ADMIN_CALIBRATION_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/flags/flag_set.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

class CalibrationFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // A job with what was given; the rest, and ranges, are the server's.
  // INVALID_ARGUMENT: an unknown target or loss.
  absl::StatusOr<v1::CalibrationJob> Job() const;

 private:
  std::string design_;
  std::string target_;
  std::string loss_;
  std::optional<int32_t> steps_;
  std::optional<int32_t> warmup_steps_;
  std::optional<int32_t> tokens_per_step_;
  std::optional<int32_t> sequence_length_;
  std::optional<double> learning_rate_;
  std::optional<uint64_t> seed_;
  std::optional<double> device_share_;
  std::optional<double> validation_fraction_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_CALIBRATION_FLAGS_H_
