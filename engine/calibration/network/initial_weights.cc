#include "engine/calibration/network/initial_weights.h"

#include <array>
#include <cmath>

#include "base/hash/philox.h"

namespace seer {
namespace {

constexpr double kDeviation = 0.02;
constexpr double kTwoPi = 6.28318530717958647692;

// In (0, 1]: its logarithm is finite.
double ToUniform(uint32_t high, uint32_t low) {
  const uint64_t bits = static_cast<uint64_t>(high) << 32 | low;
  return (static_cast<double>(bits >> 11) + 1.0) * 0x1p-53;
}

}  // namespace

std::vector<float> InitialWeights(const WeightsKey& key, int64_t size) {
  std::vector<float> weights(size);
  for (int64_t i = 0; i < size; i += 2) {
    const uint64_t pair = static_cast<uint64_t>(i / 2);
    const std::array<uint32_t, 4> random = Philox4x32(
        {static_cast<uint32_t>(pair), static_cast<uint32_t>(pair >> 32),
         static_cast<uint32_t>(key.layer), key.of_queries ? 1u : 0u},
        {static_cast<uint32_t>(key.seed),
         static_cast<uint32_t>(key.seed >> 32)});
    const double radius =
        kDeviation *
        std::sqrt(-2.0 * std::log(ToUniform(random[0], random[1])));
    const double angle = kTwoPi * ToUniform(random[2], random[3]);
    weights[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < size) {
      weights[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
  return weights;
}

}  // namespace seer
