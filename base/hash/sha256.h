#ifndef SEER_BASE_HASH_SHA256_H_
#define SEER_BASE_HASH_SHA256_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"

namespace seer {

// The SHA-256 digest (FIPS 180-4) of `bytes`: 64 lowercase hexadecimal digits.
std::string Sha256Hex(absl::Span<const uint8_t> bytes);

// The same digest of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(absl::Span<const uint8_t> bytes);

  // Of all bytes added. Call once; nothing may be added after it.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace seer

#endif  // SEER_BASE_HASH_SHA256_H_
