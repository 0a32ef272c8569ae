// Random numbers that depend on nothing but what they are for.
#ifndef SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_
#define SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_

#include <cstdint>

namespace seer {

// Names one draw. Choices and positions of a request have independent draws;
// the same key gives the same number whatever else runs.
struct DrawKey {
  uint64_t seed = 0;
  int32_t choice = 0;
  int64_t position = 0;  // of the token drawn
};

// Uniform in [0, 1), a multiple of 2^-53 (base/hash/philox.h).
double UniformDraw(const DrawKey& key);

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_
