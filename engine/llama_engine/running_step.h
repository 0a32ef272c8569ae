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
#include "engine/llama_engine/requests/request_run.h"
#include "engine/model/batch/batch_sequence.h"
#include "engine/model/batch/row_draw.h"
#include "engine/model/step/launched_step.h"
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
  // Whether the device, and not the host, draws its tokens and scores them.
  std::vector<bool> on_device;
  std::vector<std::vector<LayerBlocks>> blocks;  // empty, or [num_layers]
  std::vector<std::vector<RowDraw>> draws;
  std::vector<std::vector<TokenId>> drawn;
  std::vector<std::vector<RowScore>> drawn_scores;
  std::vector<std::vector<RowScore>> scores;
  std::vector<std::vector<RowOutcome>> outcomes;

  // What gives a request's choice its next token.
  std::map<std::pair<RequestId, int32_t>, BatchSequence::DrawnBy> next_tokens;

  std::optional<LaunchedStep> launched;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_RUNNING_STEP_H_
