// Where submitters, readers and drainers meet the engine thread.
#ifndef SEER_ENGINE_LLAMA_ENGINE_REQUESTS_INBOX_H_
#define SEER_ENGINE_LLAMA_ENGINE_REQUESTS_INBOX_H_

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"
#include "engine/llama_engine/requests/request_run.h"

namespace seer {

// Thread-safe. Shared by the engine and whoever may still wake it.
class Inbox {
 public:
  // Hands a request to the engine thread. UNAVAILABLE: draining or stopped.
  // INTERNAL: the engine is unhealthy.
  absl::Status Add(std::unique_ptr<RequestRun> run);
  // What Add would say now.
  absl::Status CheckOpen() const;

  // Has the engine thread run `task` between two steps, and waits for that: for
  // work that needs the device. Streams wait meanwhile, so it must be short.
  // Returns what `task` does. UNAVAILABLE: stopped. INTERNAL: the engine is
  // unhealthy. Not for the engine thread.
  absl::Status RunBetweenSteps(std::function<absl::Status()> task);

  // Makes the engine thread look around.
  void Wake();

  using Task = std::packaged_task<absl::Status()>;
  struct Orders {
    std::vector<std::unique_ptr<RequestRun>> added;
    std::vector<Task> tasks;  // to be run, whatever else there is
    absl::Time drain_deadline = absl::InfiniteFuture();
    bool stop = false;
  };
  // The engine thread takes what has come in; waits until `until` for
  // something to, if nothing has.
  Orders Take(absl::Time until);

  // `count` requests that were added have ended; `cut`: at a drain's deadline.
  void RecordEnded(int64_t count, bool cut);

  enum class Drained { kAllFinished, kSomeCut, kStillRunning };
  // Refuses newcomers from now on, and waits until all requests have ended.
  // The engine thread ends what is left at the deadline; kStillRunning: it has
  // not even `grace` later, so it hangs.
  Drained Drain(absl::Time deadline, absl::Duration grace);

  // Refuses newcomers with INTERNAL from now on.
  void SetUnhealthy();
  bool healthy() const;
  bool draining() const;

  // Ends the engine thread's loop.
  void Stop();

 private:
  absl::Status CheckOpenLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  CondVar ended_;
  std::vector<std::unique_ptr<RequestRun>> added_ ABSL_GUARDED_BY(mutex_);
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  int64_t num_live_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time drain_deadline_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool cut_ ABSL_GUARDED_BY(mutex_) = false;
  bool unhealthy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_REQUESTS_INBOX_H_
