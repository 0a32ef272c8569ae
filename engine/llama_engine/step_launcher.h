// From a plan to the model, and back with what its rows gave.
#ifndef SEER_ENGINE_LLAMA_ENGINE_STEP_LAUNCHER_H_
#define SEER_ENGINE_LLAMA_ENGINE_STEP_LAUNCHER_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/thread/executor.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/llama_engine/requests/request_run.h"
#include "engine/llama_engine/running_step.h"
#include "engine/model/llama_model.h"
#include "engine/model/step/forward_args.h"
#include "engine/sampler/sampler.h"
#include "engine/scheduler/step_plan.h"

namespace seer {

// Not thread-safe.
class StepLauncher {
 public:
  // All borrowed.
  struct Parts {
    LlamaModel* model = nullptr;
    KvCache* cache = nullptr;
    const RequestRuns* runs = nullptr;
    Executor* executor = nullptr;
  };
  explicit StepLauncher(const Parts& parts);

  // Whether the plan can be launched while `running`, the last step launched,
  // is not finished: no row of it waits for what only the host can say.
  bool CanFollow(const StepPlan& plan, const RunningStep& running) const;

  // Fills `step`, which is new, and enqueues its work. `running`, if not null,
  // is a step that the plan can follow. Errors of LlamaModel::Launch.
  absl::Status Launch(const StepPlan& plan, const RunningStep* running,
                      RunningStep& step);

  // Waits for the step, and fills its blocks and outcomes; those of requests
  // and choices that have ended since its launch are left empty.
  // Errors of LaunchedStep::Finish.
  absl::StatusOr<ForwardReport> Finish(RunningStep& step) const;

 private:
  // What the model takes of the step's slice number `index`.
  BatchSequence SequenceOf(size_t index, const RunningStep* running,
                           RunningStep& step) const;
  // Whether the device draws and scores the request's tokens.
  bool OnDevice(const RequestRun& run) const;
  void AskForScores(size_t index, RunningStep& step,
                    BatchSequence& sequence) const;
  // Of all slices, in parallel where it takes long.
  void AskForDraws(RunningStep& step) const;
  // Of the step's slice number `index`, which choices it gives a token.
  void NoteTokens(size_t index, RunningStep& step) const;
  absl::Status EvaluateRows(const LogitsBlock& block, RunningStep& step);

  const Parts parts_;
  std::vector<Sampler> samplers_;  // one a thread
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_STEP_LAUNCHER_H_
