#include "engine/calibration/training_options.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace seer {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

double LearningRateSchedule::At(int64_t step) const {
  if (step < num_warmup_steps) {
    return peak * static_cast<double>(step) /
           static_cast<double>(num_warmup_steps);
  }
  const double progress = static_cast<double>(step - num_warmup_steps) /
                          static_cast<double>(num_steps - num_warmup_steps);
  return peak * 0.5 * (1.0 + std::cos(kPi * progress));
}

absl::Status TrainingOptions::Validate() const {
  // A NaN is in no range.
  const auto check = [](bool is_in_range, const char* field, double value) {
    if (is_in_range) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(field, " = ", value, ": out of range"));
  };
  const struct {
    bool is_in_range;
    const char* field;
    double value;
  } fields[] = {
      {adam_w.beta1 >= 0 && adam_w.beta1 < 1, "beta1", adam_w.beta1},
      {adam_w.beta2 >= 0 && adam_w.beta2 < 1, "beta2", adam_w.beta2},
      {adam_w.epsilon >= 1e-12 && adam_w.epsilon <= 1, "epsilon",
       adam_w.epsilon},
      {adam_w.weight_decay >= 0 && adam_w.weight_decay <= 1, "weight_decay",
       adam_w.weight_decay},
      {adam_w.max_gradient_norm > 0 && adam_w.max_gradient_norm <= 1e6,
       "max_gradient_norm", adam_w.max_gradient_norm},
      {schedule.peak > 0 && schedule.peak <= 1, "learning_rate", schedule.peak},
      {schedule.num_warmup_steps >= 0, "num_warmup_steps",
       static_cast<double>(schedule.num_warmup_steps)},
      {schedule.num_steps >= 1, "num_steps",
       static_cast<double>(schedule.num_steps)},
  };
  for (const auto& field : fields) {
    const absl::Status status =
        check(field.is_in_range, field.field, field.value);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace seer
