// What the one engine thread does.
#ifndef SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_
#define SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_state.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/inbox.h"
#include "engine/llama_engine/request_run.h"
#include "engine/model/llama_model.h"
#include "engine/sampler/sampler.h"
#include "engine/scheduler/admission.h"
#include "engine/scheduler/scheduler.h"

namespace seer {

// Takes requests from the inbox, and steps the model until told to stop:
// sweep (cancels, deadlines, slow readers), plan, compute, deliver. A cancel is
// thus seen within one step.
class EngineLoop {
 public:
  struct Parts {
    LlamaModel* model = nullptr;
    KvCache* cache = nullptr;
    // One a gate that requests can name.
    const std::map<const Gate*, GateState>* gates = nullptr;
    PageAllocator* pages = nullptr;
    Scheduler* scheduler = nullptr;
    Admission* admission = nullptr;
    Inbox* inbox = nullptr;
    Executor* executor = nullptr;
    EngineObserver* observer = nullptr;  // may be null
    absl::Duration slow_reader_timeout;
  };
  // Borrows the parts.
  explicit EngineLoop(const Parts& parts);

  // Returns after Inbox::Stop, every request ended.
  void Run();

  // What this thread counts; the rest is left at its defaults. Thread-safe.
  EngineStats Stats() const;

 private:
  // Outcomes of a step's rows, by slice.
  using StepOutcomes = std::vector<std::vector<RowOutcome>>;

  using Runs = std::map<RequestId, std::unique_ptr<RequestRun>>;

  // A request whose last event is still to be pushed.
  struct Ending {
    std::unique_ptr<RequestRun> run;
    absl::Status status;        // OK: the summary is the last event
    bool drop_earlier = false;  // what is undelivered is of no use
  };

  void Add(std::unique_ptr<RequestRun> run);
  // Frees all that the request holds; PushEndings then tells the reader, who
  // thus finds the pages free and the totals right. Returns the next one.
  Runs::iterator Retire(Runs::iterator it, absl::Status status,
                        bool drop_earlier = false);
  void PushEndings(bool cut);
  // Ends requests that nobody waits for any more.
  void Sweep(absl::Time now);
  // Ends the request if it has to end now. Returns the next one.
  Runs::iterator SweepOne(Runs::iterator it, absl::Time now);
  void FailAll(const absl::Status& status, bool cut);
  // When to look around again although nobody calls.
  absl::Time NextLook(absl::Time now) const;

  void RunStep(const StepPlan& plan, absl::Duration scheduler_time);
  absl::StatusOr<ForwardReport> Compute(const StepPlan& plan,
                                        StepOutcomes& outcomes);
  // What the model takes of the step's slice number `index`.
  BatchSequence SequenceOf(const PlannedSlice& slice, size_t index);
  absl::Status EvaluateRows(const StepPlan& plan, const LogitsBlock& block,
                            StepOutcomes& outcomes);
  // A step that found no memory ends its own requests, any other error all.
  void FailStep(const StepPlan& plan, const absl::Status& status);
  // Before Deliver: who reads a last event finds its request counted.
  void CountStep(const StepPlan& plan, const StepOutcomes& outcomes,
                 absl::Duration gate_time);
  void Deliver(const StepPlan& plan, StepOutcomes outcomes);
  void UpdateStats();

  const Parts parts_;
  Runs runs_;
  std::vector<Ending> endings_;
  RequestId next_id_ = 1;
  std::vector<Sampler> samplers_;                 // one a thread
  std::vector<std::vector<LayerBlocks>> blocks_;  // of the step, by slice
  std::vector<TokenId> best_tokens_;              // the same

  mutable Mutex stats_mutex_;
  EngineStats stats_ ABSL_GUARDED_BY(stats_mutex_);
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_
