// How a gate is trained. No torch.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_OPTIONS_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"

namespace seer {

// What is minimised, for a sequence of n tiles. Target and probability are of
// (row i, head, block j), 0 for j > i; rows i < floor(n / 4) are dropped but by
// kMse.
enum class GateLoss {
  // Sum over j of target (ln target - ln probability), 0 ln 0 = 0; mean over
  // heads and rows, those of all sequences of a step alike.
  kKl,
  // kKl to the target's square roots, each row of them over its sum; a row of
  // zeros has no loss. For the mass target.
  kKlOfRoot,
  // The same terms as kKl's, their mean over the full rows of n entries, as
  // SeerAttention
  // (arXiv 2410.13276) released it: it shrinks with the length. For the max
  // target.
  kKlReference,
  // (probability - target)^2, its mean over the n x n square: SeerAttention's
  // first version. For the max target.
  kMse,
};

// The first tile whose row counts, in 0..num_tiles - 1.
constexpr int64_t FirstLossTile(GateLoss loss, int64_t num_tiles) {
  return loss == GateLoss::kMse ? 0 : num_tiles / 4;
}

// What one head of a sequence of `num_tiles` >= 1 tiles counts in the mean: a
// loss is a sum over sequences and heads, divided by the sum of these.
constexpr int64_t NumLossTerms(GateLoss loss, int64_t num_tiles) {
  const int64_t num_rows = num_tiles - FirstLossTile(loss, num_tiles);
  const bool counts_rows = loss == GateLoss::kKl || loss == GateLoss::kKlOfRoot;
  return counts_rows ? num_rows : num_rows * num_tiles;
}

// AdamW (Loshchilov and Hutter, arXiv 1711.05101) behind a clipped gradient.
// Betas, epsilon and the norm are the defaults of transformers'
// TrainingArguments, which SeerAttention's scripts/run_distillation.sh leaves
// as they are. Within these ranges finite gradients leave finite weights: none
// is so great that its square is not finite in fp32, and no epsilon so small
// that what is divided by it alone comes near the end of that range.
struct AdamWOptions {
  double beta1 = 0.9;              // [0, 1)
  double beta2 = 0.999;            // [0, 1)
  double epsilon = 1e-8;           // [1e-12, 1]
  double weight_decay = 0.0;       // [0, 1]
  double max_gradient_norm = 1.0;  // of all of a layer's weights; (0, 1e6]
};

// Up linearly, then down a half cosine: transformers'
// get_cosine_schedule_with_warmup. Step 0 has rate 0, and step num_steps would
// have.
struct LearningRateSchedule {
  double peak = 1e-3;             // (0, 1]
  int64_t num_warmup_steps = 20;  // >= 0
  int64_t num_steps = 500;        // >= 1

  // Of step `step` in 0..num_steps - 1.
  double At(int64_t step) const;
};

struct TrainingOptions {
  GateLoss loss = GateLoss::kKl;
  AdamWOptions adam_w;
  LearningRateSchedule schedule;
  uint64_t seed = 0;  // of the initial weights

  // INVALID_ARGUMENT names the field that is out of its range.
  absl::Status Validate() const;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_OPTIONS_H_
