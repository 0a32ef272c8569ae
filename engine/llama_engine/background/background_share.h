// When work in the background may run beside requests.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_BACKGROUND_SHARE_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_BACKGROUND_SHARE_H_

#include "absl/time/time.h"

namespace seer {

// Keeps the time of micro-steps within a share of the device's while requests
// run. Each step of requests earns credit, share / (1 - share) of its time; a
// micro-step is let run once there is credit for all that it is believed to
// take, and spends that; what it took beyond is owed. Credit is kept for one
// micro-step, or for what one step earns if that is more, however long nothing
// was wanted. What comes between two steps is that at most, and never more than
// `most_a_round`, or one micro-step if that is longer: credit past it is left
// for the next rounds. Times come from outside; not thread-safe.
class BackgroundShare {
 public:
  // share in (0, 1]; above 0.99 it is taken for that, so that requests go on.
  explicit BackgroundShare(
      double share, absl::Duration most_a_round = absl::InfiniteDuration());

  // As it is taken. A step of 1 - share of some time and what comes between it
  // and the next take that time at most, or the step's and one micro-step's.
  double share() const { return share_; }

  // A step of requests took so long.
  void RecordServing(absl::Duration duration);

  // What comes now is another round's: between it and the one before the engine
  // has looked around.
  void BeginRound() { taken_in_round_ = absl::ZeroDuration(); }
  // A micro-step that is believed to take `expected` is to run. True: it may,
  // and its time is spent.
  bool Take(absl::Duration expected);
  // One that was let run took `actual` instead. What it took too much is saved
  // up for before the next.
  void Correct(absl::Duration expected, absl::Duration actual);

  // No request runs, so nothing is owed and nothing earned.
  void RecordIdle() { credit_ = absl::ZeroDuration(); }

 private:
  const double share_;
  const double earned_a_second_;  // seconds
  const absl::Duration most_a_round_;
  absl::Duration credit_;  // below 0: owed
  absl::Duration taken_in_round_;
  absl::Duration wanted_;  // by the last Take
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_BACKGROUND_SHARE_H_
