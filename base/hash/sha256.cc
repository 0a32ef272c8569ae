#include "base/hash/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace seer {

namespace {

// OpenSSL fails only where it lacks SHA-256 or memory is out.
void Require(int result) {
  if (result != 1) std::abort();
}

}  // namespace

std::string Sha256Hex(absl::Span<const uint8_t> bytes) {
  Sha256 sha256;
  sha256.Add(bytes);
  return sha256.FinishHex();
}

struct Sha256::Context {
  EVP_MD_CTX* const evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  Require(EVP_DigestInit_ex(context_->evp, EVP_sha256(), /*impl=*/nullptr));
}

Sha256::~Sha256() = default;

void Sha256::Add(absl::Span<const uint8_t> bytes) {
  Require(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()));
}

std::string Sha256::FinishHex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(context_->evp, digest, &size));
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace seer
