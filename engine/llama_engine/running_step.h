// A step of the engine thread from its launch to its delivery.
#ifndef SEER_ENGINE_LLAMA_ENGINE_RUNNING_STEP_H_
#define SEER_ENGINE_LLAMA_ENGINE_RUNNING_STEP_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/llama_engine/request_run.h"
#include "engine/model/batch_sequence.h"
#include "engine/model/launched_step.h"
#include "engine/scheduler/step_plan.h"

namespace seer {

// Neither copied nor moved: the launched step writes into it.
struct RunningStep {
  RunningStep() = default;
  RunningStep(const RunningStep&) = delete;
  RunningStep& operator=(const RunningStep&) = delete;

  // Of the plan, whose page tables were read at the launch.
  std::vector<PlannedSlice> slices;
  StepWork work;
  absl::Duration predicted_time;

  absl::Time plan_time;    // when planning began
  absl::Time launch_time;  // when it ended

  // By slice.
  std::vector<BatchSequence> sequences;
  std::vector<std::vector<LayerBlocks>> blocks;  // empty, or [num_layers]
  std::vector<TokenId> best_tokens;
  std::vector<std::vector<RowOutcome>> outcomes;

  // The slice that gives a request's choice its next token.
  std::map<std::pair<RequestId, int32_t>, int32_t> draws;

  std::optional<LaunchedStep> launched;

  // Whether the device draws the slice's token.
  bool DrawsOnDevice(size_t slice) const {
    return sequences[slice].best_token != nullptr;
  }
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_RUNNING_STEP_H_
