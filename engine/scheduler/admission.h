// Which requests may enter the engine: refused at once when too many wait,
// rather than late. Also what a newcomer would have to wait, for load reports.
//
//   SEER_ASSIGN_OR_RETURN(Admission::Place place, admission.Enter(prompt_len));
//   place.Start();             // has its pages; no longer waits
//   place.Advance(tokens);     // a chunk was computed
//   // Leaves when `place` is destroyed, however the request ends.
#ifndef SEER_ENGINE_SCHEDULER_ADMISSION_H_
#define SEER_ENGINE_SCHEDULER_ADMISSION_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/thread/mutex.h"

namespace seer {

struct AdmissionOptions {
  int64_t max_waiting_requests = 256;
  // Prompt tokens not yet computed, waiting and running. A request that finds
  // no other one there is let in whatever its length.
  int64_t max_backlog_tokens = 1 << 20;
  // Prompt tokens a second, believed until steps have been seen.
  double initial_tokens_per_second = 1000.0;
  // How far the average of the throughput looks back.
  absl::Duration averaging_time = absl::Seconds(30);
  // Bounds of the retry delays told to refused callers.
  absl::Duration min_retry_delay = absl::Milliseconds(100);
  absl::Duration max_retry_delay = absl::Minutes(5);

  // INVALID_ARGUMENT: a value that is not positive, or bounds out of order.
  absl::Status Validate() const;
};

// Thread-safe: Enter is called by submitters, the rest by the engine thread.
class Admission {
 public:
  // One request's place in the engine. Not thread-safe itself. Must not
  // outlive the Admission.
  class Place {
   public:
    Place() = default;  // no place
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place();

    // Requests that waited ahead of it when it entered.
    int64_t queue_position() const { return queue_position_; }
    // It runs now. Idempotent.
    void Start();
    // `tokens` more of its prompt are computed.
    void Advance(int64_t tokens);

   private:
    friend class Admission;
    void Leave();

    Admission* admission_ = nullptr;
    int64_t queue_position_ = 0;
    int64_t tokens_left_ = 0;  // of the prompt, not computed
    bool waiting_ = false;
  };

  struct Load {
    int64_t waiting_requests = 0;
    int64_t backlog_tokens = 0;
    double tokens_per_second = 0.0;  // the running average, > 0
    // Until a request that entered now would get its first rows: the backlog
    // at the average throughput.
    absl::Duration predicted_queue_delay;
    bool draining = false;
  };

  // `options` must be valid.
  explicit Admission(const AdmissionOptions& options);

  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // Lets a request of `prompt_tokens` >= 1 in. Never blocks.
  // RESOURCE_EXHAUSTED: the queue (reason QUEUE_FULL) or the backlog
  //   (BACKLOG_FULL) is full; with a retry delay, when room is predicted.
  // UNAVAILABLE: draining, with a retry delay (reason DRAINING).
  absl::StatusOr<Place> Enter(int64_t prompt_tokens);

  // The device took `duration` for a step, which computed `prompt_tokens` (0:
  // decode rows only), or for what is done between steps (0). Counts toward the
  // average while there is a backlog; call it before the step's Advance.
  void RecordStep(int64_t prompt_tokens, absl::Duration duration);

  // Refuses every newcomer from now on.
  void StartDraining();

  Load load() const;

 private:
  double TokensPerSecond() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How long the engine takes for `tokens`, within the retry bounds.
  absl::Duration RetryDelay(int64_t tokens) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AdmissionOptions options_;
  mutable Mutex mutex_;
  int64_t waiting_requests_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t backlog_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  // Both decay with the time spent computing; their quotient is the average.
  double recent_tokens_ ABSL_GUARDED_BY(mutex_) = 0.0;
  double recent_seconds_ ABSL_GUARDED_BY(mutex_) = 0.0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace seer

#endif  // SEER_ENGINE_SCHEDULER_ADMISSION_H_
