#include "client/commands/admin/calibration_flags.h"

#include "absl/strings/str_cat.h"

namespace seer {

void CalibrationFlags::AddTo(FlagSet* flags) {
  flags->Group("Gate");
  flags->Add("design", &design_, "DESIGN",
             "pooling, Q and K each of max, min, avg in this order; default "
             "Qavg_Kmaxminavg. Or mean_pool, which has no weights: nothing is "
             "trained, and the gate set is a budget profile for it. Where the "
             "server allows them, oracle_max or oracle_mass likewise");
  flags->Add("target", &target_, "TARGET",
             "what the gate learns of a block: max (its largest probability), "
             "mass (all of it) or root_mass (the mass's square root, which "
             "heeds blocks of little mass more); default max, of oracle_mass "
             "mass");
  flags->Add("loss", &loss_, "LOSS",
             "kl, kl_reference or mse, the last two only for max; default kl");
  flags->Group("Training, of a design with weights");
  flags->Add("steps", &steps_, "N", "optimizer steps; default 500");
  flags->Add("warmup_steps", &warmup_steps_, "N",
             "of them with a rising learning rate; default 20, at most steps");
  flags->Add("tokens_per_step", &tokens_per_step_, "N",
             "rounded down to whole sequences; default 65536, at least one");
  flags->Add("learning_rate", &learning_rate_, "RATE",
             "its peak; default 0.001");
  flags->Group("Data");
  flags->Add("sequence_length", &sequence_length_, "N",
             "tokens; default 8192, at most the model's context");
  flags->Add("seed", &seed_, "N",
             "makes the gate reproducible; default: the server draws one");
  flags->Add("validation_fraction", &validation_fraction_, "SHARE",
             "of the sequences, held out to measure quality; default 0.1");
  flags->Add("device_share", &device_share_, "SHARE",
             "of the device's time while requests run; default 0.2");
}

absl::StatusOr<v1::CalibrationJob> CalibrationFlags::Job() const {
  v1::CalibrationJob job;
  job.set_design(design_);
  if (target_ == "max") {
    job.set_target(v1::CALIBRATION_TARGET_MAX);
  } else if (target_ == "mass") {
    job.set_target(v1::CALIBRATION_TARGET_MASS);
  } else if (target_ == "root_mass") {
    job.set_target(v1::CALIBRATION_TARGET_ROOT_MASS);
  } else if (!target_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--target cannot be \"", target_,
                     "\": must be max, mass or root_mass"));
  }
  if (loss_ == "kl") {
    job.set_loss(v1::CALIBRATION_LOSS_KL);
  } else if (loss_ == "kl_reference") {
    job.set_loss(v1::CALIBRATION_LOSS_KL_REFERENCE);
  } else if (loss_ == "mse") {
    job.set_loss(v1::CALIBRATION_LOSS_MSE);
  } else if (!loss_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--loss cannot be \"", loss_, "\": must be kl, kl_reference or mse"));
  }
  if (steps_) job.set_steps(*steps_);
  if (warmup_steps_) job.set_warmup_steps(*warmup_steps_);
  if (tokens_per_step_) job.set_tokens_per_step(*tokens_per_step_);
  if (sequence_length_) job.set_sequence_length(*sequence_length_);
  if (learning_rate_) job.set_learning_rate(*learning_rate_);
  if (seed_) job.set_seed(*seed_);
  if (device_share_) job.set_device_share(*device_share_);
  if (validation_fraction_) job.set_validation_fraction(*validation_fraction_);
  return job;
}

}  // namespace seer
