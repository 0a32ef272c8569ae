// A step that was enqueued, and what is left to do of it.
#ifndef SEER_ENGINE_MODEL_STEP_LAUNCHED_STEP_H_
#define SEER_ENGINE_MODEL_STEP_LAUNCHED_STEP_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/step/forward_args.h"
#include "engine/model/step/step_results.h"
#include "engine/weights/model_config.h"

namespace seer {

// Points of a layer on a step's clock, of which the first point is the step's
// begin.
enum class LayerPoint { kBegin, kPrepared, kSelected, kAttended, kNumPoints };

// Results are on their way to the host. The sequences that the layout was built
// of must stay until Finish or the end of this object.
class LaunchedStep {
 public:
  // What a pass has enqueued.
  struct Work {
    BatchLayout layout;
    // Their copy to the host too. Scores: of the layout's scored(), then, if
    // any of its draws() has one, of the places of all.
    StepResults results;
    std::vector<int32_t> places;  // of the layout's draws() in the results
    bool is_timed = false;        // the clock has every layer's LayerPoints
  };

  // `end`: the last point of `clock`. Borrows config and clock.
  LaunchedStep(Work work, const ModelConfig* config, DeviceClock* clock,
               int end)
      : work_(std::move(work)), config_(config), clock_(clock), end_(end) {}

  // Of the step's sequences, the places of the tokens that are drawn for each
  // among all that are.
  std::vector<std::vector<int32_t>> DrawnPlaces() const;

  // Waits until the device is done with the step, and writes what its sequences
  // asked for. Once. INTERNAL: the device failed.
  absl::StatusOr<ForwardReport> Finish() const;

 private:
  void GiveTokens() const;
  void GiveScore(int64_t place, int32_t num_top, RowScore* score) const;
  ForwardReport Report() const;

  Work work_;
  const ModelConfig* config_;
  DeviceClock* clock_;
  int end_;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_STEP_LAUNCHED_STEP_H_
