// What the one engine thread does.
#ifndef SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_
#define SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/thread/executor.h"
#include "base/thread/mutex.h"
#include "engine/engine.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/llama_engine/background/calibration_work.h"
#include "engine/llama_engine/requests/inbox.h"
#include "engine/llama_engine/requests/request_run.h"
#include "engine/llama_engine/running_step.h"
#include "engine/llama_engine/step_launcher.h"
#include "engine/model/llama_model.h"
#include "engine/scheduler/admission.h"
#include "engine/scheduler/scheduler.h"

namespace seer {

// Takes requests and tasks from the inbox, and steps the model until told to
// stop: sweep (cancels, deadlines, slow readers), plan, compute, deliver; then
// what may be done in the background. A cancel is thus seen within one step and
// what came behind it.
//
// Where the device works beside the host, a step is planned and launched while
// the one before runs, and takes the tokens that one draws without their coming
// to the host. So a choice that a token ends may have had one row too many,
// which is dropped. Pages can be given on at once all the same: the device
// works in order.
class EngineLoop {
 public:
  struct Parts {
    LlamaModel* model = nullptr;
    KvCache* cache = nullptr;
    PageAllocator* pages = nullptr;
    Scheduler* scheduler = nullptr;
    Admission* admission = nullptr;
    Inbox* inbox = nullptr;
    Executor* executor = nullptr;
    EngineObserver* observer = nullptr;     // may be null
    CalibrationWork* background = nullptr;  // may be null
    absl::Duration slow_reader_timeout;
  };
  // Borrows the parts.
  explicit EngineLoop(const Parts& parts);

  // Returns after Inbox::Stop, every request ended.
  void Run();

  // What this thread counts; the rest is left at its defaults. Thread-safe.
  EngineStats Stats() const;

 private:
  // A request whose last event is still to be pushed.
  struct Ending {
    std::unique_ptr<RequestRun> run;
    absl::Status status;        // OK: the summary is the last event
    bool drop_earlier = false;  // what is undelivered is of no use
  };

  void Add(std::unique_ptr<RequestRun> run);
  // Frees all that the request holds; PushEndings then tells the reader, who
  // thus finds the pages free and the totals right. Returns the next one.
  RequestRuns::iterator Retire(RequestRuns::iterator it, absl::Status status,
                               bool drop_earlier = false);
  void PushEndings(bool cut);
  // Ends requests that nobody waits for any more.
  void Sweep(absl::Time now);
  // Ends the request if it has to end now. Returns the next one.
  RequestRuns::iterator SweepOne(RequestRuns::iterator it, absl::Time now);
  void FailAll(const absl::Status& status, bool cut);
  // When to look around again although nobody calls.
  absl::Time NextLook(absl::Time now) const;

  // Plans a step and launches it, then finishes the one before. Where nothing
  // can be launched behind a running step, that is finished first. `begin`:
  // when the loop came round. False: there was nothing to compute.
  bool RunStep(absl::Time begin);
  // Launches the plan; null: it failed. Where it finds no memory and a
  // calibration is under way, that ends, the running step is finished, and what
  // is planned then is launched.
  std::unique_ptr<RunningStep> Launch(const StepPlan& plan, absl::Time begin);
  // Behind the running step. `step` is set in any case.
  absl::Status LaunchOnce(const StepPlan& plan, absl::Time begin,
                          std::unique_ptr<RunningStep>* step);
  // Delivers what the running step gave.
  void FinishRunning();
  // When the loop should come round for what is done in the background.
  absl::Time RunBackground(bool computed);
  void FailEngine(const absl::Status& status);
  // A step that found no memory ends its own requests, any other error all.
  void FailStep(const RunningStep& step, const absl::Status& status);
  // Before Deliver: who reads a last event finds its request counted.
  void CountStep(const RunningStep& step, absl::Duration gate_time);
  void Deliver(RunningStep& step);
  void UpdateStats();

  const Parts parts_;
  RequestRuns runs_;
  std::vector<Ending> endings_;
  RequestId next_id_ = 1;
  StepLauncher launcher_;
  std::unique_ptr<RunningStep> running_;  // null: none
  absl::Time last_finish_ = absl::InfinitePast();

  mutable Mutex stats_mutex_;
  EngineStats stats_ ABSL_GUARDED_BY(stats_mutex_);
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_ENGINE_LOOP_H_
