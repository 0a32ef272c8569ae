// How fast a calibration gets on.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_PACE_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_PACE_H_

#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace seer {

// Over the last minute. Not thread-safe.
class CalibrationPace {
 public:
  // `done` units of work so far, never fewer than before; `now` never earlier.
  void Record(absl::Time now, int64_t done);

  // Units a second; 0 before a second has passed.
  double PerSecond() const;

 private:
  struct Sample {
    absl::Time time;
    int64_t done;
  };
  std::deque<Sample> samples_;  // about one a second, and the newest
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_CALIBRATION_PACE_H_
