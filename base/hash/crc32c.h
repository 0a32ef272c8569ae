#ifndef SEER_BASE_HASH_CRC32C_H_
#define SEER_BASE_HASH_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace seer {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of `bytes`, or of what came
// before and `bytes`: Crc32c(b, Crc32c(a)) is that of ab. About 1.5 GB/s a
// core, whatever the processor.
uint32_t Crc32c(absl::string_view bytes, uint32_t before = 0);

}  // namespace seer

#endif  // SEER_BASE_HASH_CRC32C_H_
