#include "server/admin/call/admin_access.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/hash/sha256.h"
#include "google/protobuf/descriptor.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {
namespace {

constexpr size_t kMinTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 4096;

std::string DigestOf(absl::string_view token) {
  return Sha256Hex(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(token.data()), token.size()));
}

// Of equal lengths, in a time that depends on the lengths alone.
bool SameDigest(const std::string& a, const std::string& b) {
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

}  // namespace

absl::Status AdminAccessOptions::Validate() const {
  if (!token.empty()) {
    bool printable = true;
    for (const char c : token) printable &= c > 0x20 && c < 0x7f;
    if (!printable || token.size() < kMinTokenBytes ||
        token.size() > kMaxTokenBytes) {
      return absl::InvalidArgumentError(
          "the admin token must be 16 to 4096 printable ASCII characters "
          "without spaces");
    }
  }
  const auto* service = v1::Upload::descriptor()->file()->service(0);
  for (const std::string& method : methods) {
    if (service->FindMethodByName(method) == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("GateAdminService has no method ", method));
    }
  }
  return absl::OkStatus();
}

AdminAccess::AdminAccess(const AdminAccessOptions& options)
    : has_token_(!options.token.empty()),
      token_digest_(DigestOf(options.token)),
      methods_(options.methods) {}

absl::Status AdminAccess::Check(absl::string_view method,
                                const grpc::ServerContextBase& context) const {
  if (has_token_) {
    const auto& metadata = context.client_metadata();
    const auto found = metadata.find("authorization");
    absl::string_view sent;
    if (found != metadata.end()) {
      sent = absl::string_view(found->second.data(), found->second.size());
    }
    const bool is_bearer = absl::ConsumePrefix(&sent, "Bearer ");
    // Digests, so that the time says nothing about the token's length either.
    if (!SameDigest(DigestOf(sent), token_digest_) || !is_bearer) {
      return absl::UnauthenticatedError("unauthenticated");
    }
  }
  if (!methods_.empty() && methods_.count(std::string(method)) == 0) {
    return absl::PermissionDeniedError("not allowed");
  }
  return absl::OkStatus();
}

}  // namespace seer
