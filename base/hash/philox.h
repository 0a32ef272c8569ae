#ifndef SEER_BASE_HASH_PHILOX_H_
#define SEER_BASE_HASH_PHILOX_H_

#include <array>
#include <cstdint>

namespace seer {

// Philox4x32-10: ten rounds of a counter-based generator. Equal counters and
// keys give equal words, whatever else was drawn.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011, doi:10.1145/2063384.2063405.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

}  // namespace seer

#endif  // SEER_BASE_HASH_PHILOX_H_
