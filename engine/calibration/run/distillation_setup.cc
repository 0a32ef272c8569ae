#include "engine/calibration/run/distillation_setup.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/gate/gate_design.h"
#include "kernels/ragged_batch.h"

namespace seer {

absl::StatusOr<std::vector<TokenId>> ReadSequence(
    const DistillationSetup& setup, int64_t index) {
  SEER_ASSIGN_OR_RETURN(std::vector<TokenId> tokens,
                        setup.sequences->Read(index));
  const int64_t sequence_len = setup.options.sequence_len;
  const bool is_valid =
      static_cast<int64_t>(tokens.size()) == sequence_len &&
      std::all_of(tokens.begin(), tokens.end(), [&setup](TokenId id) {
        return id >= 0 && id < setup.vocab_size;
      });
  if (is_valid) return tokens;
  return absl::InvalidArgumentError(
      absl::StrCat("sequence ", index, " of the dataset is not ", sequence_len,
                   " ids of the model's vocabulary"));
}

int64_t DistillationBytes(const DistillationSetup& setup) {
  const GateShape& shape = setup.shape;
  const absl::StatusOr<GateDesign> design =
      ParseGateDesign(setup.options.design);
  if (!design.ok()) return 0;
  const int64_t query_pools = design->query_pools.size();
  const int64_t key_pools = design->key_pools.size();
  const int64_t queries = int64_t{shape.num_query_heads} * shape.head_dim;
  const int64_t keys = int64_t{shape.num_kv_heads} * shape.head_dim;
  const int64_t weights =
      shape.head_dim * (query_pools > 1
                            ? queries * query_pools + keys * key_pools
                            : queries * key_pools);
  // Weights, two moments and gradients of every layer; those of one while they
  // are updated.
  const int64_t trainers = weights * (4 * shape.num_layers + 4);
  const int64_t blocks = NumBlocks(setup.options.sequence_len);
  const int64_t sequence = 2 * blocks * (2 * queries + keys * key_pools);
  // Floats of an entry of a span, where recall is measured.
  constexpr int64_t kFloatsPerEntry = 32;
  const int64_t span =
      kFloatsPerEntry *
      std::max(setup.limits.max_entries, blocks * shape.num_query_heads);
  return (trainers + sequence + span) * static_cast<int64_t>(sizeof(float));
}

}  // namespace seer
