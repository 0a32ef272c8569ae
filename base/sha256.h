#ifndef SEER_BASE_SHA256_H_
#define SEER_BASE_SHA256_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace seer {

// The SHA-256 digest (FIPS 180-4) of `bytes`: 64 lowercase hexadecimal digits.
std::string Sha256Hex(absl::Span<const uint8_t> bytes);

}  // namespace seer

#endif  // SEER_BASE_SHA256_H_
