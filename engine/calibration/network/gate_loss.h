// The losses of distillation: values and gradients, range by range.
#ifndef SEER_ENGINE_CALIBRATION_NETWORK_GATE_LOSS_H_
#define SEER_ENGINE_CALIBRATION_NETWORK_GATE_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/calibration/training_options.h"

namespace seer {

// A range of the tiles of one sequence: R tiles from first_tile on, which is at
// or after FirstLossTile. L = first_tile + R blocks are visible to the last.
struct GateLossArgs {
  GateLoss loss = GateLoss::kKl;
  int64_t first_tile = 0;
  // Of the whole step: the sum of NumLossTerms over its sequences, times Hq.
  double num_terms = 0.0;
  at::Tensor logits;  // fp32 or double [Hq, R, L]
  at::Tensor target;  // of the same type [Hq, R, L], any strides
};
// Entries past a tile's visible blocks, in logits and target, may be anything.

struct GateLossResult {
  at::Tensor value;     // double, a scalar: this range's share of the mean
  at::Tensor gradient;  // [Hq, R, L], by logits; 0 past the visible blocks
};

// The values of all ranges of all sequences add up to the step's loss. Works on
// the device of its tensors; waits for nothing. Holds a few tensors of the
// logits' size. Throws what ATen throws.
GateLossResult ComputeGateLoss(const GateLossArgs& args);

// bool [R, L]: whether block j is visible to tile first_tile + r.
at::Tensor VisibleBlocksOf(int64_t first_tile, int64_t num_tiles,
                           int64_t num_blocks, at::Device device);

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_NETWORK_GATE_LOSS_H_
