// Which sequences of a dataset are trained on, and when. No torch.
#ifndef SEER_ENGINE_CALIBRATION_PLAN_SEQUENCE_ORDER_H_
#define SEER_ENGINE_CALIBRATION_PLAN_SEQUENCE_ORDER_H_

#include <cstdint>
#include <vector>

namespace seer {

// A function of its arguments alone. Each sequence draws a number (Philox, by
// seed and index); those of the lowest are held out. Training goes through the
// others epoch by epoch, in the order of numbers that they draw anew for each
// epoch, so a step may span two epochs. Not thread-safe.
class SequenceOrder {
 public:
  // num_sequences >= 2, validation_fraction in (0, 0.5]: held out are so many
  // of them, rounded, but at least one, and one is left.
  SequenceOrder(int64_t num_sequences, double validation_fraction,
                uint64_t seed);

  // Indices in the order of their numbers: any first few are a fair sample.
  const std::vector<int64_t>& held_out() const { return held_out_; }
  int64_t num_training() const {
    return static_cast<int64_t>(training_.size());
  }

  // The index of training's sequence number `position` >= 0, counted over all
  // epochs.
  int64_t At(int64_t position);

 private:
  const uint64_t seed_;
  std::vector<int64_t> held_out_;
  std::vector<int64_t> training_;  // ascending
  int64_t epoch_ = -1;             // that order_ is of
  std::vector<int64_t> order_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_PLAN_SEQUENCE_ORDER_H_
