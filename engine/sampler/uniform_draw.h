// Random numbers that depend on nothing but what they are for.
#ifndef SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_
#define SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_

#include <array>
#include <cstdint>

namespace seer {

// Names one draw. Choices and positions of a request have independent draws;
// the same key gives the same number whatever else runs.
struct DrawKey {
  uint64_t seed = 0;
  int32_t choice = 0;
  int64_t position = 0;  // of the token drawn
};

// Philox4x32-10: ten rounds of a counter-based generator.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011, doi:10.1145/2063384.2063405.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

// Uniform in [0, 1), a multiple of 2^-53.
double UniformDraw(const DrawKey& key);

}  // namespace seer

#endif  // SEER_ENGINE_SAMPLER_UNIFORM_DRAW_H_
