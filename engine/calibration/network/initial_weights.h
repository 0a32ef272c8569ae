// Where training starts.
#ifndef SEER_ENGINE_CALIBRATION_NETWORK_INITIAL_WEIGHTS_H_
#define SEER_ENGINE_CALIBRATION_NETWORK_INITIAL_WEIGHTS_H_

#include <cstdint>
#include <vector>

namespace seer {

// Names one tensor of weights. Tensors have independent numbers.
struct WeightsKey {
  uint64_t seed = 0;
  int32_t layer = 0;
  bool of_queries = false;
};

// Drawn from N(0, 0.02), the reference's. Number i depends on the key and on i
// alone (Philox and the Box-Muller transform, in double, on the host), so the
// bits are the same for every device and order of layers.
std::vector<float> InitialWeights(const WeightsKey& key, int64_t size);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_NETWORK_INITIAL_WEIGHTS_H_
