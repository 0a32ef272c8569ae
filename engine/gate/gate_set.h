// A gate set: a gate for one base model, and perhaps a budget profile, under a
// name.
#ifndef SEER_ENGINE_GATE_GATE_SET_H_
#define SEER_ENGINE_GATE_GATE_SET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/gate/budget_profile.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_provenance.h"

namespace seer {

// Immutable: any thread may read it.
struct GateSet {
  std::string name;     // models/{model}/gateSets/{id}, or "mean_pool"
  std::string version;  // SHA-256, hex, of the file; "" for built-in
  std::unique_ptr<const Gate> gate;
  std::optional<BudgetProfile> profile;
  GateProvenance provenance;  // nothing, for built-in
  int64_t num_bytes = 0;      // of the file; 0 for built-in
};

// What a gate set file is loaded for.
struct GateSetTarget {
  GateShape shape;
  std::string model_id;     // names the set: see Load
  std::string fingerprint;  // of the base model
  // Whether gate sets for oracles (engine/gate/oracle.h) may be used.
  bool allow_oracle_gates = false;
};

// mean_pool, without a profile.
std::shared_ptr<const GateSet> BuiltinMeanPool(const GateShape& shape);

// Loads a safetensors file of format_version 1:
//   model.layers.{i}.self_attn.attn_gate.mask_linear_k.weight (and, in all
//   layers or none, mask_linear_q.weight), bf16 or fp32, shapes as in
//   AttnGateWeights; none of them in a file of a design without weights
//   (mean_pool, oracle_max, oracle_mass), which holds only a profile;
//   budget_profile [layers, Hq, P] and budget_profile_densities [P], fp32,
//   both or neither (a file without weights must have them).
// Header metadata must hold format_version, design, block_size (64) and
// fingerprint, and may hold GateProvenance. The set's name is
// models/{model_id}/gateSets/sha256-{first 12 digits of the digest}.
// NOT_FOUND and what else MappedFile::Open says: no such file.
// INVALID_ARGUMENT: no safetensors or cut short, an unknown or missing name, a
// wrong dtype or shape, a value that is not finite, metadata that cannot be.
// FAILED_PRECONDITION: another base model's; ORACLE_NOT_ALLOWED, an oracle's
// where these may not be used. Messages about what is in the file name the
// tensor or metadata field, and not the path.
absl::StatusOr<std::shared_ptr<const GateSet>> LoadGateSet(
    const std::string& path, const GateSetTarget& target);

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_SET_H_
