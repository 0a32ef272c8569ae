#include "engine/llama_engine/background/calibration_pace.h"

namespace seer {
namespace {

constexpr absl::Duration kWindow = absl::Minutes(1);
constexpr absl::Duration kApart = absl::Seconds(1);

}  // namespace

void CalibrationPace::Record(absl::Time now, int64_t done) {
  // The newest gives way unless it is far enough from the one before it.
  if (samples_.size() >= 2 &&
      samples_.back().time < samples_[samples_.size() - 2].time + kApart) {
    samples_.pop_back();
  }
  samples_.push_back({now, done});
  while (samples_.size() > 2 && samples_[1].time <= now - kWindow) {
    samples_.pop_front();
  }
}

double CalibrationPace::PerSecond() const {
  if (samples_.size() < 2) return 0.0;
  const absl::Duration passed = samples_.back().time - samples_.front().time;
  if (passed < kApart) return 0.0;
  return static_cast<double>(samples_.back().done - samples_.front().done) /
         absl::ToDoubleSeconds(passed);
}

}  // namespace seer
