// The gate as a function of its weights, with its gradient: AttnGate of
// SeerAttention (arXiv 2410.13276), in all its designs.
#ifndef SEER_ENGINE_CALIBRATION_NETWORK_GATE_NETWORK_H_
#define SEER_ENGINE_CALIBRATION_NETWORK_GATE_NETWORK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"

namespace seer {

// One layer's projections, or their gradients; fp32 (double in tests).
struct GateParameters {
  at::Tensor linear_q;  // [Hq, nq * D, D]; undefined: single-linear
  at::Tensor linear_k;  // [Hq (single) or Hk (double), nk * D, D]

  bool is_double() const { return linear_q.defined(); }
  GateParameters ZerosLike() const;
};

// What a layer's gate computes with.
struct GateNetwork {
  GateShape shape;  // dtype: what values are rounded to
  GateDesign design;
  GateParameters weights;
  // Of the weights' type, [>= num_blocks, D / 2] each: of the first token of
  // each block.
  at::Tensor cos;
  at::Tensor sin;
};

// Sums [M, H, D] of the blocks from first_block on, of a sequence of so many
// tokens, over how many of these each block has.
at::Tensor BlockMeans(const at::Tensor& sums, int64_t first_block,
                      int64_t num_tokens);

// One sequence through one layer's gate, forward and back.
//
//   GateSequence sequence(network, num_tokens);
//   for each range:
//     sequence.AddKeys(...);
//     logits = sequence.Score(...);
//     sequence.AddGradient(gradient of logits, &gradients);
//   sequence.Finish(&gradients);
//
// Values are rounded where the engine's kernels round them
// (kernels/gate_score/gate_score.h): weights and pools to the model's dtype,
// then projections, then rotations. The gradient takes roundings for the
// identity. Products are of the weights' type.
//
// Holds, for a sequence of n blocks, [Hk, n, nk * D] inputs and, for each entry
// head, [n, D] entries and as much of gradients; while a range is scored, a few
// times [range, Hq, blocks]. Throws what ATen throws.
class GateSequence {
 public:
  GateSequence(const GateNetwork& network, int64_t num_tokens);

  // Takes in the next M blocks: raw pools [M, Hk, kNumPools, D] as
  // kernels/qk_prepare makes them.
  void AddKeys(const at::Tensor& pooled_keys);
  int64_t num_keys() const { return num_keys_; }  // blocks taken in

  // Logits [Hq, R, L] of the R tiles from first_tile on, of which
  // `pooled_queries` [R, Hq, kNumPools, D] are the raw pools;
  // L = first_tile + R <= num_keys(). Those of blocks that a tile does not see
  // are logits like the others.
  at::Tensor Score(const at::Tensor& pooled_queries, int64_t first_tile);

  // Takes in the gradient [Hq, R, L] by the logits that Score last returned.
  // Adds what follows for the queries' weights; keys wait for Finish.
  void AddGradient(const at::Tensor& gradient, GateParameters* gradients);

  // Adds the gradient by the keys' weights of all ranges.
  void Finish(GateParameters* gradients);

 private:
  at::Tensor Rounded(const at::Tensor& x) const;
  // [M, H, kNumPools, D] of the blocks from first_block on -> [H, M, np * D].
  at::Tensor Pooled(const at::Tensor& pools, const PoolSet& set,
                    int64_t first_block) const;
  void KeepKeys(const at::Tensor& inputs, const at::Tensor& entries);
  // x [H, M, D] of the blocks from first_block on; back: by the other angle.
  at::Tensor Rotated(const at::Tensor& x, int64_t first_block, bool back) const;

  const GateNetwork network_;
  const int64_t num_tokens_;
  const int64_t num_entry_heads_;
  const double scale_;  // of products
  int64_t num_keys_ = 0;
  at::Tensor weights_q_;     // rounded [Hq, nq * D, D]
  at::Tensor weights_k_;     // rounded [Hk, nk * D, entry heads / Hk * D]
  at::Tensor key_inputs_;    // [Hk, n, nk * D]
  at::Tensor key_entries_;   // [entry heads, n, D]
  at::Tensor key_gradient_;  // by rotated entries; undefined: none yet
  // Of the last Score.
  int64_t first_tile_ = 0;
  at::Tensor query_inputs_;   // [Hq, R, nq * D]
  at::Tensor query_entries_;  // [Hq, R, D]
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_NETWORK_GATE_NETWORK_H_
