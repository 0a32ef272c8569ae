#include "engine/calibration/testing/teacher_gate.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/model/aten/aten.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

at::Tensor RandomNormal(at::IntArrayRef shape, double deviation,
                        uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, static_cast<float>(deviation));
  float* const values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = normal(random);
  return tensor;
}

// Raw pools of blocks whose averages are normal and whose extremes lie around
// zero, so that a projection of any of them is about as large.
at::Tensor RandomPools(int64_t num_tokens, int64_t num_heads, int64_t head_dim,
                       uint64_t seed) {
  const int64_t num_blocks = NumBlocks(num_tokens);
  at::Tensor pools = RandomNormal({num_blocks, num_heads, kNumPools, head_dim},
                                  /*deviation=*/1.0, seed);
  const at::Tensor counts = at::arange(num_blocks, at::kFloat)
                                .mul_(-kBlockSize)
                                .add_(static_cast<double>(num_tokens))
                                .clamp_max_(kBlockSize);
  pools.select(2, kPoolSum).mul_(counts.view({-1, 1, 1}));
  return pools;
}

}  // namespace

TileRange TaughtSequence::Range(int64_t first_tile, int64_t last_tile) const {
  TileRange range;
  range.first_tile = first_tile;
  range.last_tile = last_tile;
  range.pooled_queries = pooled_queries[first_tile].const_data_ptr<float>();
  range.pooled_keys = pooled_keys.const_data_ptr<float>();
  range.target = target[first_tile].const_data_ptr<float>();
  range.row_len = target.size(2);
  return range;
}

TeacherGate::TeacherGate(const GateShape& shape, const GateDesign& design,
                         int64_t max_tokens, uint64_t seed, Device* device) {
  const at::Device at_device = AtenDevice(*device);
  const int64_t head_dim = shape.head_dim;
  const int64_t num_positions = NumBlocks(max_tokens) * kBlockSize;
  RopeConfig config;
  config.head_dim = shape.head_dim;
  at::Tensor cos = at::empty({num_positions, head_dim / 2}, at::kFloat);
  at::Tensor sin = at::empty({num_positions, head_dim / 2}, at::kFloat);
  FillRopeTable(MakeRopeFrequencies(config).value(), num_positions,
                cos.mutable_data_ptr<float>(), sin.mutable_data_ptr<float>());
  cos_ = cos.to(at_device);
  sin_ = sin.to(at_device);

  const bool is_double = design.query_pools.size() > 1;
  const int64_t query_inputs = design.query_pools.size() * head_dim;
  const int64_t key_inputs = design.key_pools.size() * head_dim;
  // A logit of normal inputs has the deviations of the projected entries as
  // factors; an entry's is sqrt(inputs) of a weight's.
  constexpr double kLogitDeviation = 1.5;
  network_.shape = shape;
  network_.design = design;
  network_.cos = cos_.slice(0, 0, num_positions, kBlockSize);
  network_.sin = sin_.slice(0, 0, num_positions, kBlockSize);
  network_.weights.linear_k =
      RandomNormal({is_double ? shape.num_kv_heads : shape.num_query_heads,
                    key_inputs, head_dim},
                   kLogitDeviation / std::sqrt(key_inputs), seed)
          .to(at_device);
  if (is_double) {
    network_.weights.linear_q =
        RandomNormal({shape.num_query_heads, query_inputs, head_dim},
                     1.0 / std::sqrt(query_inputs), seed + 1)
            .to(at_device);
  }
}

RopeTable TeacherGate::rope() const {
  RopeTable rope;
  rope.cos = cos_.const_data_ptr<float>();
  rope.sin = sin_.const_data_ptr<float>();
  rope.num_positions = cos_.size(0);
  rope.head_dim = network_.shape.head_dim;
  return rope;
}

TaughtSequence TeacherGate::MakeSequence(int64_t num_tokens,
                                         uint64_t seed) const {
  const GateShape& shape = network_.shape;
  const at::Device device = network_.weights.linear_k.device();
  TaughtSequence sequence;
  sequence.num_tokens = num_tokens;
  sequence.pooled_queries =
      RandomPools(num_tokens, shape.num_query_heads, shape.head_dim, 2 * seed)
          .to(device);
  sequence.pooled_keys =
      RandomPools(num_tokens, shape.num_kv_heads, shape.head_dim, 2 * seed + 1)
          .to(device);
  GateSequence gate(network_, num_tokens);
  gate.AddKeys(sequence.pooled_keys);
  const int64_t num_tiles = NumBlocks(num_tokens);
  const at::Tensor hidden = at::arange(num_tiles, device)
                                .gt(at::arange(num_tiles, device).unsqueeze(1));
  const at::Tensor logits =
      gate.Score(sequence.pooled_queries, 0)
          .masked_fill(hidden, -std::numeric_limits<double>::infinity());
  sequence.target =
      at::softmax(logits, -1)
          .masked_fill(hidden, std::numeric_limits<double>::quiet_NaN())
          .transpose(0, 1)
          .contiguous();
  return sequence;
}

}  // namespace seer
