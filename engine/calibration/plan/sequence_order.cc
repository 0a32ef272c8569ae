#include "engine/calibration/plan/sequence_order.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/hash/philox.h"

namespace seer {
namespace {

// Words of the counter that tell these draws from those of initial weights,
// which have 0 and 1 there.
constexpr uint32_t kSplit = 2;
constexpr uint32_t kEpoch = 3;

uint64_t Draw(uint64_t seed, int64_t index, int64_t epoch, uint32_t purpose) {
  const std::array<uint32_t, 4> words = Philox4x32(
      {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
       static_cast<uint32_t>(epoch), purpose},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return uint64_t{words[0]} << 32 | words[1];
}

// By the numbers that they draw; equal ones by index.
std::vector<int64_t> Shuffled(const std::vector<int64_t>& indices,
                              uint64_t seed, int64_t epoch, uint32_t purpose) {
  std::vector<std::pair<uint64_t, int64_t>> drawn;
  drawn.reserve(indices.size());
  for (const int64_t index : indices) {
    drawn.emplace_back(Draw(seed, index, epoch, purpose), index);
  }
  std::sort(drawn.begin(), drawn.end());
  std::vector<int64_t> shuffled;
  shuffled.reserve(indices.size());
  for (const auto& [number, index] : drawn) shuffled.push_back(index);
  return shuffled;
}

}  // namespace

SequenceOrder::SequenceOrder(int64_t num_sequences, double validation_fraction,
                             uint64_t seed)
    : seed_(seed) {
  std::vector<int64_t> all(num_sequences);
  for (int64_t i = 0; i < num_sequences; ++i) all[i] = i;
  const std::vector<int64_t> split = Shuffled(all, seed, 0, kSplit);
  const int64_t num_held_out = std::clamp<int64_t>(
      std::llround(validation_fraction * static_cast<double>(num_sequences)), 1,
      num_sequences - 1);
  held_out_.assign(split.begin(), split.begin() + num_held_out);
  training_.assign(split.begin() + num_held_out, split.end());
  std::sort(training_.begin(), training_.end());
}

int64_t SequenceOrder::At(int64_t position) {
  const int64_t epoch = position / num_training();
  if (epoch != epoch_) {
    order_ = Shuffled(training_, seed_, epoch, kEpoch);
    epoch_ = epoch;
  }
  return order_[position % num_training()];
}

}  // namespace seer
