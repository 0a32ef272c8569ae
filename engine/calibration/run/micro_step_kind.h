// The pieces that a calibration is done in. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_MICRO_STEP_KIND_H_
#define SEER_ENGINE_CALIBRATION_RUN_MICRO_STEP_KIND_H_

namespace seer {

// What a micro-step did. Those of a kind take about the same time.
enum class MicroStepKind {
  kSetUp,
  kFirstSpan,  // before the border: without a target
  kTrainingSpan,
  kValidationSpan,
  kProfilingSpan,
  kEvaluationSpan,
  kUpdate,
  kSave,
  kExport,
  kWait,  // none: the source had no memory for the next sequence
};
constexpr int kNumMicroStepKinds = 10;

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_MICRO_STEP_KIND_H_
