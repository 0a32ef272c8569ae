// Where a gate set's file says it comes from.
#ifndef SEER_ENGINE_GATE_GATE_PROVENANCE_H_
#define SEER_ENGINE_GATE_GATE_PROVENANCE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace seer {

// What the file lacks, or says "unknown" of, is "" or 0.
struct GateProvenance {
  std::string target;          // "max", "mass", "root_mass"
  std::string loss;            // "kl", "kl_reference", "mse"
  std::string dataset_sha256;  // 64 lowercase hex digits
  int64_t dataset_tokens = 0;  // >= 0
  int64_t steps = 0;           // >= 0
  uint64_t seed = 0;
  std::string tool_version;  // UTF-8 without control characters, <= 256 bytes
};

// Reads the fields of the same names of a file's metadata, each of which may be
// missing, and checks that `created` is a time of RFC 3339. INVALID_ARGUMENT:
// a field holds what it cannot; it is named.
absl::StatusOr<GateProvenance> ReadGateProvenance(
    const std::map<std::string, std::string>& metadata);

// Text from a file in quotes, for a message: printable and at most 64 bytes of
// it.
std::string QuotedForMessage(const std::string& text);

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_PROVENANCE_H_
