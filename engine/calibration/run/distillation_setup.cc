#include "engine/calibration/run/distillation_setup.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/calibration/plan/option_checks.h"
#include "engine/calibration/scoring/weightless_scorer.h"
#include "engine/errors.h"
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

absl::Status OrDamaged(const absl::Status& loaded) {
  if (!absl::IsInvalidArgument(loaded)) return loaded;
  return WithReason(loaded, {"CHECKPOINT_DAMAGED", std::nullopt, std::nullopt});
}

absl::StatusOr<std::unique_ptr<LayerTrainer>> MakeTrainer(
    const DistillationSetup& setup, int32_t layer) {
  LayerTrainerOptions options;
  options.shape = setup.shape;
  options.layer = layer;
  SEER_ASSIGN_OR_RETURN(options.design, ParseGateDesign(setup.options.design));
  options.training = TrainingOptionsOf(setup.options);
  SEER_ASSIGN_OR_RETURN(
      std::unique_ptr<LayerTrainer> trainer,
      LayerTrainer::Create(options, setup.rope, setup.device));
  if (!setup.resumed.has_value()) return trainer;
  SEER_RETURN_IF_ERROR(OrDamaged(trainer->Load(setup.resumed->tensors)));
  if (trainer->next_step() != setup.resumed->step) {
    return OrDamaged(
        absl::InvalidArgumentError("checkpoint: of different steps"));
  }
  return trainer;
}

std::unique_ptr<LayerScorer> MakeWeightlessScorer(
    const DistillationSetup& setup) {
  return std::make_unique<WeightlessScorer>(
      WeightlessScorer::Options{setup.options.design, setup.shape,
                                GateLossOf(setup.options)},
      setup.device);
}

int64_t DistillationBytes(const DistillationSetup& setup) {
  const GateShape& shape = setup.shape;
  // Without weights a key has what a pool of it has.
  int64_t query_pools = 0;
  int64_t key_pools = 1;
  if (HasWeights(setup.options.design)) {
    const absl::StatusOr<GateDesign> design =
        ParseGateDesign(setup.options.design);
    if (!design.ok()) return 0;
    query_pools = design->query_pools.size();
    key_pools = design->key_pools.size();
  }
  const int64_t queries = int64_t{shape.num_query_heads} * shape.head_dim;
  const int64_t keys = int64_t{shape.num_kv_heads} * shape.head_dim;
  int64_t weights = 0;
  if (query_pools > 0) {
    weights = shape.head_dim * (query_pools > 1
                                    ? queries * query_pools + keys * key_pools
                                    : queries * key_pools);
  }
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
