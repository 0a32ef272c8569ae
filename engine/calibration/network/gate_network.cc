#include "engine/calibration/network/gate_network.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <vector>

#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// [groups * H, rows, columns] <-> [groups, rows, H * columns]: the heads that
// share an input beside each other, so that one product serves them.
at::Tensor HeadsBeside(const at::Tensor& x, int64_t num_groups) {
  const int64_t num_heads = x.size(0) / num_groups;
  return x.view({num_groups, num_heads, x.size(1), x.size(2)})
      .transpose(1, 2)
      .reshape({num_groups, x.size(1), num_heads * x.size(2)});
}

at::Tensor HeadsApart(const at::Tensor& x, int64_t num_columns) {
  const int64_t num_heads = x.size(2) / num_columns;
  return x.view({x.size(0), x.size(1), num_heads, num_columns})
      .transpose(1, 2)
      .reshape({x.size(0) * num_heads, x.size(1), num_columns});
}

}  // namespace

at::Tensor BlockMeans(const at::Tensor& sums, int64_t first_block,
                      int64_t num_tokens) {
  at::Tensor means = sums * (1.0 / kBlockSize);
  // Every block is full but for the sequence's last.
  const int64_t rest = num_tokens % kBlockSize;
  if (rest != 0 && first_block + sums.size(0) == NumBlocks(num_tokens)) {
    at::Tensor last = means.select(0, sums.size(0) - 1);
    at::div_out(last, sums.select(0, sums.size(0) - 1),
                static_cast<double>(rest));
  }
  return means;
}

GateParameters GateParameters::ZerosLike() const {
  GateParameters zeros;
  if (is_double()) zeros.linear_q = at::zeros_like(linear_q);
  zeros.linear_k = at::zeros_like(linear_k);
  return zeros;
}

GateSequence::GateSequence(const GateNetwork& network, int64_t num_tokens)
    : network_(network),
      num_tokens_(num_tokens),
      num_entry_heads_(network.weights.linear_k.size(0)),
      scale_(1.0 / std::sqrt(static_cast<double>(network.shape.head_dim))) {
  const GateParameters& weights = network.weights;
  if (weights.is_double()) weights_q_ = Rounded(weights.linear_q);
  weights_k_ =
      HeadsBeside(Rounded(weights.linear_k), network.shape.num_kv_heads);
}

at::Tensor GateSequence::Rounded(const at::Tensor& x) const {
  if (network_.shape.dtype == DType::kFloat32) return x;
  return x.to(at::kBFloat16).to(x.scalar_type());
}

at::Tensor GateSequence::Pooled(const at::Tensor& pools, const PoolSet& set,
                                int64_t first_block) const {
  std::vector<at::Tensor> parts;
  if (set.max) parts.push_back(pools.select(2, kPoolMax));
  if (set.min) parts.push_back(pools.select(2, kPoolMin));
  if (set.avg)
    parts.push_back(
        BlockMeans(pools.select(2, kPoolSum), first_block, num_tokens_));
  for (at::Tensor& part : parts) part = part.transpose(0, 1);
  return Rounded(at::cat(parts, -1));
}

at::Tensor GateSequence::Rotated(const at::Tensor& x, int64_t first_block,
                                 bool back) const {
  const at::Tensor cos = network_.cos.narrow(0, first_block, x.size(1));
  const at::Tensor sin = network_.sin.narrow(0, first_block, x.size(1));
  const at::Tensor halves = x.reshape({x.size(0), x.size(1), 2, x.size(2) / 2});
  const at::Tensor rotated = halves * cos.unsqueeze(1);
  const int sign = back ? -1 : 1;
  rotated.select(2, 0).addcmul_(halves.select(2, 1), sin, -sign);
  rotated.select(2, 1).addcmul_(halves.select(2, 0), sin, sign);
  return rotated.view({x.size(0), x.size(1), x.size(2)});
}

void GateSequence::KeepKeys(const at::Tensor& inputs,
                            const at::Tensor& entries) {
  const int64_t num_blocks = NumBlocks(num_tokens_);
  const int64_t num_added = inputs.size(1);
  if (num_added == num_blocks) {
    key_inputs_ = inputs;
    key_entries_ = entries;
  } else {
    if (num_keys_ == 0) {
      // Of blocks that never come, zero gradients are taken.
      key_inputs_ = at::zeros({inputs.size(0), num_blocks, inputs.size(2)},
                              inputs.options());
      key_entries_ = at::empty({entries.size(0), num_blocks, entries.size(2)},
                               entries.options());
    }
    key_inputs_.narrow(1, num_keys_, num_added).copy_(inputs);
    key_entries_.narrow(1, num_keys_, num_added).copy_(entries);
  }
  num_keys_ += num_added;
}

void GateSequence::AddKeys(const at::Tensor& pooled_keys) {
  const at::Tensor inputs =
      Pooled(pooled_keys, network_.design.key_pools, num_keys_);
  const at::Tensor projected =
      HeadsApart(Rounded(inputs.bmm(weights_k_)), network_.shape.head_dim);
  KeepKeys(inputs, Rounded(Rotated(projected, num_keys_, /*back=*/false)));
}

at::Tensor GateSequence::Score(const at::Tensor& pooled_queries,
                               int64_t first_tile) {
  const int64_t num_tiles = pooled_queries.size(0);
  const int64_t num_visible = first_tile + num_tiles;
  const int64_t head_dim = network_.shape.head_dim;
  first_tile_ = first_tile;
  query_inputs_ =
      Pooled(pooled_queries, network_.design.query_pools, first_tile);
  const at::Tensor projected = network_.weights.is_double()
                                   ? Rounded(query_inputs_.bmm(weights_q_))
                                   : query_inputs_;
  query_entries_ = Rounded(Rotated(projected, first_tile, /*back=*/false));
  const at::Tensor queries =
      query_entries_.view({num_entry_heads_, -1, head_dim});
  const at::Tensor keys = key_entries_.narrow(1, 0, num_visible);
  return at::empty({num_entry_heads_, queries.size(1), num_visible},
                   queries.options())
      .baddbmm_(queries, keys.transpose(1, 2), /*beta=*/0.0, scale_)
      .view({network_.shape.num_query_heads, num_tiles, num_visible});
}

void GateSequence::AddGradient(const at::Tensor& gradient,
                               GateParameters* gradients) {
  const int64_t head_dim = network_.shape.head_dim;
  const int64_t num_visible = gradient.size(2);
  const at::Tensor by_products =
      gradient.reshape({num_entry_heads_, -1, num_visible});
  const at::Tensor queries =
      query_entries_.view({num_entry_heads_, -1, head_dim});
  if (!key_gradient_.defined()) key_gradient_ = at::zeros_like(key_entries_);
  key_gradient_.narrow(1, 0, num_visible)
      .baddbmm_(by_products.transpose(1, 2), queries, /*beta=*/1.0, scale_);
  if (!network_.weights.is_double()) return;
  const at::Tensor by_queries =
      by_products.bmm(key_entries_.narrow(1, 0, num_visible))
          .view_as(query_entries_);
  gradients->linear_q.baddbmm_(query_inputs_.transpose(1, 2),
                               Rotated(by_queries, first_tile_, /*back=*/true),
                               /*beta=*/1.0, scale_);
}

void GateSequence::Finish(GateParameters* gradients) {
  if (!key_gradient_.defined()) return;
  const at::Tensor by_projected = HeadsBeside(
      Rotated(key_gradient_, 0, /*back=*/true), network_.shape.num_kv_heads);
  gradients->linear_k.add_(HeadsApart(
      key_inputs_.transpose(1, 2).bmm(by_projected), network_.shape.head_dim));
}

}  // namespace seer
