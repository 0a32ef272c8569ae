#include "engine/sampler/uniform_draw.h"

#include <array>

#include "base/hash/philox.h"

namespace seer {

double UniformDraw(const DrawKey& key) {
  const uint64_t position = static_cast<uint64_t>(key.position);
  const std::array<uint32_t, 4> random = Philox4x32(
      {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
       static_cast<uint32_t>(key.choice), 0},
      {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  const uint64_t bits = (static_cast<uint64_t>(random[0]) << 32 | random[1]);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace seer
