#include "tests/testing/kernels/cases/scored_gate.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "absl/base/internal/raw_logging.h"
#include "tests/testing/kernels/host_calls.h"

namespace seer {
namespace {

constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();

std::vector<float> NormalWeights(int64_t size, double scale, DType dtype,
                                 std::mt19937_64* random) {
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  std::vector<float> weights(size);
  for (float& w : weights) w = RoundTo(dtype, normal(*random));
  return weights;
}

std::string PoolNames(PoolSet pools) {
  std::string name;
  if (pools.max) name += "max";
  if (pools.min) name += "min";
  if (pools.avg) name += "avg";
  return name;
}

}  // namespace

GateWeights MeanPoolGate() {
  GateWeights gate;
  gate.mean_pool = true;
  return gate;
}

GateWeights RandomGate(const HeadShape& shape, DType dtype, PoolSet query_pools,
                       PoolSet key_pools, bool is_double, uint64_t seed) {
  std::mt19937_64 random(seed);
  const int64_t head_dim = shape.head_dim;
  const int64_t key_inputs = key_pools.size() * head_dim;
  const int64_t query_inputs = query_pools.size() * head_dim;
  GateWeights gate;
  gate.query_pools = query_pools;
  gate.key_pools = key_pools;
  gate.linear_k = NormalWeights(
      (is_double ? shape.num_kv_heads : shape.num_query_heads) * key_inputs *
          head_dim,
      1.0 / std::sqrt(static_cast<double>(key_inputs)), dtype, &random);
  if (is_double) {
    gate.linear_q = NormalWeights(
        shape.num_query_heads * query_inputs * head_dim,
        1.0 / std::sqrt(static_cast<double>(query_inputs)), dtype, &random);
  }
  return gate;
}

std::vector<GateWeights> GatesOfEveryKind(const HeadShape& shape, DType dtype,
                                          uint64_t seed) {
  PoolSet avg, all;
  avg.avg = all.max = all.min = all.avg = true;
  return {MeanPoolGate(), RandomGate(shape, dtype, avg, all, false, seed),
          RandomGate(shape, dtype, all, avg, true, seed)};
}

std::vector<PoolSet> AllPoolSets() {
  std::vector<PoolSet> sets;
  for (int bits = 1; bits < 8; ++bits) {
    PoolSet set;
    set.max = (bits & 1) != 0;
    set.min = (bits & 2) != 0;
    set.avg = (bits & 4) != 0;
    sets.push_back(set);
  }
  return sets;
}

std::string DesignName(PoolSet query_pools, PoolSet key_pools) {
  return "Q" + PoolNames(query_pools) + "_K" + PoolNames(key_pools);
}

ScoredGate::ScoredGate(PagedSequences* sequences, const GateWeights& weights)
    : sequences_(sequences), weights_(weights) {
  const HeadShape& shape = sequences->shape();
  const DType dtype = sequences->dtype();
  const bool is_single = !weights.mean_pool && !weights.is_double();
  const int64_t num_entry_heads =
      is_single ? shape.num_query_heads : shape.num_kv_heads;
  linear_q_ = TypedArray(dtype, weights.linear_q);
  linear_k_ = TypedArray(dtype, weights.linear_k);
  key_entries_ = TypedArray(
      dtype, sequences->kv().num_pages * num_entry_heads * shape.head_dim,
      kUnwritten);
}

GateScoreArgs ScoredGate::Args(const PreparedStep& step,
                               const std::vector<int32_t>& tiles,
                               float* logits) {
  const HeadShape& shape = sequences_->shape();
  GateScoreArgs args;
  args.batch = step.batch.batch();
  args.dtype = sequences_->dtype();
  args.num_query_heads = shape.num_query_heads;
  args.gate.mean_pool = weights_.mean_pool;
  args.gate.query_pools = weights_.query_pools;
  args.gate.key_pools = weights_.key_pools;
  args.gate.linear_q = weights_.is_double() ? linear_q_.data() : nullptr;
  args.gate.linear_k = weights_.mean_pool ? nullptr : linear_k_.data();
  args.rope = sequences_->rope();
  args.tile_indices = tiles.data();
  args.num_scored_tiles = static_cast<int32_t>(tiles.size());
  args.pooled_queries = step.pooled_queries.data();
  args.kv = sequences_->kv();
  args.key_entries = key_entries_.data();
  args.num_entry_heads = weights_.mean_pool || weights_.is_double()
                             ? shape.num_kv_heads
                             : shape.num_query_heads;
  args.logits = logits;
  args.logits_row_len = RowLen(step);
  return args;
}

std::vector<float> ScoredGate::Score(Backend backend, const PreparedStep& step,
                                     const std::vector<int32_t>& tiles,
                                     DeviceStream stream) {
  std::vector<float> logits(int64_t{step.batch.batch().num_prompt_tiles} *
                                sequences_->shape().num_query_heads *
                                RowLen(step),
                            kUnwritten);
  const absl::Status status =
      GateScoreFromHost(backend, Args(step, tiles, logits.data()), stream);
  ABSL_RAW_CHECK(status.ok(), status.ToString().c_str());
  return logits;
}

std::vector<float> ScoredGate::Score(Backend backend, const PreparedStep& step,
                                     DeviceStream stream) {
  std::vector<int32_t> tiles(step.batch.batch().num_prompt_tiles);
  std::iota(tiles.begin(), tiles.end(), 0);
  return Score(backend, step, tiles, stream);
}

}  // namespace seer
