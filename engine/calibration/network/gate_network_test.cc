#include "engine/calibration/network/gate_network.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "engine/calibration/network/gate_loss.h"
#include "gtest/gtest.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"
#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

at::Tensor RandomNormal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  double* const values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = normal(random);
  return tensor;
}

// A small gate in double, where nothing is rounded, and a loss of it.
class SmallGate {
 public:
  SmallGate(const GateDesign& design, bool is_double) {
    network_.shape.num_layers = 1;
    network_.shape.num_query_heads = 4;
    network_.shape.num_kv_heads = 2;
    network_.shape.head_dim = kHeadDim;
    network_.shape.dtype = DType::kFloat32;
    network_.design = design;
    if (is_double) {
      network_.weights.linear_q =
          RandomNormal({4, design.query_pools.size() * kHeadDim, kHeadDim}, 1);
    }
    network_.weights.linear_k = RandomNormal(
        {is_double ? 2 : 4, design.key_pools.size() * kHeadDim, kHeadDim}, 2);
    const at::Tensor angles = RandomNormal({kTiles, kHeadDim / 2}, 3);
    network_.cos = angles.cos();
    network_.sin = angles.sin();
    queries_.select(2, kPoolSum).mul_(50.0);
    keys_.select(2, kPoolSum).mul_(50.0);
  }

  GateParameters& weights() { return network_.weights; }

  // Of ranges of `range` tiles; with its gradients, unless null.
  double Loss(int64_t range, GateParameters* gradients) const {
    GateSequence sequence(network_, kTokens);
    double sum = 0.0;
    for (int64_t first = 0; first < kTiles; first += range) {
      const int64_t last = std::min(kTiles, first + range);
      sequence.AddKeys(keys_.narrow(0, first, last - first));
      GateLossArgs args;
      args.loss = GateLoss::kMse;  // of all rows
      args.num_terms = 4.0 * kTiles * kTiles;
      args.first_tile = first;
      args.logits =
          sequence.Score(queries_.narrow(0, first, last - first), first);
      args.target = target_.narrow(1, first, last - first).narrow(2, 0, last);
      const GateLossResult loss = ComputeGateLoss(args);
      sum += loss.value.item<double>();
      if (gradients != nullptr) sequence.AddGradient(loss.gradient, gradients);
    }
    if (gradients != nullptr) sequence.Finish(gradients);
    return sum;
  }

 private:
  static constexpr int32_t kHeadDim = 4;
  static constexpr int64_t kTiles = 5;
  static constexpr int64_t kTokens = 4 * kBlockSize + 7;

  GateNetwork network_;
  const at::Tensor queries_ = RandomNormal({kTiles, 4, kNumPools, kHeadDim}, 4);
  const at::Tensor keys_ = RandomNormal({kTiles, 2, kNumPools, kHeadDim}, 5);
  const at::Tensor target_ =
      at::softmax(RandomNormal({4, kTiles, kTiles}, 6), -1);
};

// Every design, in every case it has.
struct Case {
  GateDesign design;
  bool is_double = false;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const GateDesign& design : AllGateDesigns()) {
    cases.push_back({design, true});
    if (design.query_pools.size() == 1) cases.push_back({design, false});
  }
  return cases;
}

std::string NameOf(const Case& c) {
  return c.design.Name() + (c.is_double ? "_double" : "_single");
}

std::vector<at::Tensor> AsList(const GateParameters& parameters) {
  if (!parameters.is_double()) return {parameters.linear_k};
  return {parameters.linear_q, parameters.linear_k};
}

// Along random directions, in which every weight takes part. Of central
// differences, that of half the step is wrong by a third of their difference.
TEST(GateNetworkTest, GradientsAreThoseOfDifferences) {
  for (const Case& c : AllCases()) {
    SCOPED_TRACE(NameOf(c));
    SmallGate gate(c.design, c.is_double);
    GateParameters gradients = gate.weights().ZerosLike();
    const double loss = gate.Loss(2, &gradients);
    const std::vector<at::Tensor> weights = AsList(gate.weights());
    for (size_t i = 0; i < weights.size(); ++i) {
      const at::Tensor direction = RandomNormal(weights[i].sizes(), 10 + i);
      const auto slope = [&](double step) {
        weights[i].add_(direction, step);
        const double up = gate.Loss(2, nullptr);
        weights[i].add_(direction, -2.0 * step);
        const double down = gate.Loss(2, nullptr);
        weights[i].add_(direction, step);
        return (up - down) / (2.0 * step);
      };
      constexpr double kStep = 1e-4;
      const double coarse = slope(kStep);
      const double fine = slope(kStep / 2);
      // A loss goes through fewer than a thousand roundings in a row.
      const double rounding = 1000 * 0x1p-53 * loss / kStep;
      const double along =
          (AsList(gradients)[i] * direction).sum().item<double>();
      EXPECT_NEAR(along, fine, std::abs(coarse - fine) + rounding) << i;
      EXPECT_GT(std::abs(along), 4 * (std::abs(coarse - fine) + rounding))
          << "the check sees nothing";
    }
  }
}

TEST(GateNetworkTest, RangesAddUp) {
  for (const Case& c : AllCases()) {
    SCOPED_TRACE(NameOf(c));
    SmallGate gate(c.design, c.is_double);
    GateParameters whole = gate.weights().ZerosLike();
    const double loss = gate.Loss(5, &whole);
    for (const int64_t range : {1, 2, 3}) {
      GateParameters parts = gate.weights().ZerosLike();
      // Sums of some hundred terms in another order.
      EXPECT_NEAR(gate.Loss(range, &parts), loss, loss * 0x1p-44);
      for (size_t i = 0; i < AsList(whole).size(); ++i) {
        const at::Tensor want = AsList(whole)[i];
        EXPECT_LE((AsList(parts)[i] - want).abs().max().item<double>(),
                  want.abs().max().item<double>() * 0x1p-44);
      }
    }
  }
}

// The forward pass against the engine's kernel on the same tokens.

at::Tensor ViewOf(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat);
}

GateNetwork NetworkOf(const PagedSequences& sequences,
                      const GateWeights& weights) {
  const HeadShape& shape = sequences.shape();
  const int64_t head_dim = shape.head_dim;
  GateNetwork network;
  network.shape.num_query_heads = shape.num_query_heads;
  network.shape.num_kv_heads = shape.num_kv_heads;
  network.shape.head_dim = shape.head_dim;
  network.shape.dtype = sequences.dtype();
  network.design = {weights.query_pools, weights.key_pools};
  if (weights.is_double()) {
    network.weights.linear_q =
        ViewOf(weights.linear_q,
               {shape.num_query_heads, weights.query_pools.size() * head_dim,
                head_dim})
            .clone();
  }
  network.weights.linear_k =
      ViewOf(weights.linear_k,
             {weights.is_double() ? shape.num_kv_heads : shape.num_query_heads,
              weights.key_pools.size() * head_dim, head_dim})
          .clone();
  const RopeTable rope = sequences.rope();
  const auto at_blocks = [&rope](const float* table) {
    return at::from_blob(const_cast<float*>(table),
                         {rope.num_positions, rope.head_dim / 2}, at::kFloat)
        .slice(0, 0, rope.num_positions, kBlockSize)
        .clone();
  };
  network.cos = at_blocks(rope.cos);
  network.sin = at_blocks(rope.sin);
  return network;
}

// The pools of the first sequence's keys, gathered: [n, Hk, kNumPools, D].
at::Tensor GatheredKeys(PagedSequences& sequences, int64_t num_blocks) {
  const PagedKv kv = sequences.kv();
  const at::Tensor pools = at::empty(
      {num_blocks, kv.num_kv_heads, kNumPools, kv.head_dim}, at::kFloat);
  const int64_t page_size = pools.stride(0);
  for (int64_t block = 0; block < num_blocks; ++block) {
    std::copy_n(kv.pooled_keys + kv.PoolOffset(sequences.pages(0)[block], 0, 0),
                page_size, pools.mutable_data_ptr<float>() + block * page_size);
  }
  return pools;
}

TEST(GateNetworkTest, ScoresAsTheKernelsDo) {
  constexpr int32_t kTokens = 1000;
  constexpr int64_t kTiles = NumBlocks(kTokens);
  const HeadShape shape = {4, 2, 64};
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const GateWeights& weights : GatesOfEveryKind(shape, dtype, 3)) {
      if (weights.mean_pool) continue;
      SCOPED_TRACE(DesignName(weights.query_pools, weights.key_pools));
      // What the kernel computes, [n, Hq, n], in the dtype and in fp32 from the
      // same tokens and weights.
      const auto score = [&](DType type) {
        PagedSequences sequences(shape, type,
                                 {RandomTokens(shape, kTokens, kTokens, dtype,
                                               /*seed=*/7)},
                                 PlainRope(), 5);
        const PreparedStep step =
            sequences.Prepare(Backend::kReference, sequences.WholePrompts());
        return ScoredGate(&sequences, weights).Score(Backend::kReference, step);
      };
      const std::vector<float> plain = score(dtype);
      const std::vector<float> exact = score(DType::kFloat32);

      PagedSequences sequences(
          shape, dtype, {RandomTokens(shape, kTokens, kTokens, dtype, 7)},
          PlainRope(), 5);
      const PreparedStep step =
          sequences.Prepare(Backend::kReference, sequences.WholePrompts());
      GateSequence gate(NetworkOf(sequences, weights), kTokens);
      gate.AddKeys(GatheredKeys(sequences, kTiles));
      const at::Tensor logits =
          gate.Score(ViewOf(step.pooled_queries, {kTiles, 4, kNumPools, 64}), 0)
              .transpose(0, 1)
              .contiguous();
      std::vector<float> got, want, low;
      for (int64_t i = 0; i < kTiles; ++i) {
        for (int64_t row = i * 4; row < (i + 1) * 4; ++row) {
          for (int64_t j = 0; j <= i; ++j) {
            got.push_back(logits.const_data_ptr<float>()[row * kTiles + j]);
            want.push_back(exact[row * kTiles + j]);
            low.push_back(plain[row * kTiles + j]);
          }
        }
      }
      if (dtype == DType::kBFloat16) {
        EXPECT_TRUE(WithinErrorBudget(got, low, want, DType::kFloat32));
        continue;
      }
      // Both are fp32: sums of the longest chain in another order, whose
      // roundings are independent.
      double largest = 0.0;
      for (const float logit : want) {
        largest = std::max(largest, std::abs(double{logit}));
      }
      const double num_roundings = 4.0 * shape.head_dim;
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(
            got[i], want[i],
            std::sqrt(num_roundings) * 2.0 * HalfUlp(largest, DType::kFloat32));
      }
    }
  }
}

// Roundings count as the identity: the gradient in bf16 is that of a network
// which starts from what was rounded, as far as a rounding of its values
// changes it.
TEST(GateNetworkTest, GradientsPassRoundingsStraightThrough) {
  const auto gradient = [](DType dtype) {
    GateNetwork network;
    network.shape.num_query_heads = 2;
    network.shape.num_kv_heads = 1;
    network.shape.head_dim = 8;
    network.shape.dtype = dtype;
    network.design = ParseGateDesign("Qavg_Kmaxmin").value();
    const at::Tensor angles = RandomNormal({6, 4}, 1).to(at::kFloat);
    network.cos = angles.cos();
    network.sin = angles.sin();
    network.weights.linear_k = RandomNormal({2, 16, 8}, 2).to(at::kFloat);
    GateSequence sequence(network, 6 * kBlockSize);
    sequence.AddKeys(RandomNormal({6, 1, kNumPools, 8}, 3).to(at::kFloat));
    sequence.Score(RandomNormal({6, 2, kNumPools, 8}, 4).to(at::kFloat), 0);
    GateParameters gradients = network.weights.ZerosLike();
    sequence.AddGradient(RandomNormal({2, 6, 6}, 5).to(at::kFloat), &gradients);
    sequence.Finish(&gradients);
    return gradients.linear_k;
  };
  const at::Tensor exact = gradient(DType::kFloat32);
  const at::Tensor rounded = gradient(DType::kBFloat16);
  // A product of a rounded pool and a rounded query: two roundings to 8 bits.
  const double scale = exact.square().mean().sqrt().item<double>();
  EXPECT_LE((rounded - exact).square().mean().sqrt().item<double>(),
            scale * 2 * 0x1p-8);
  EXPECT_FALSE(rounded.equal(exact));
}

}  // namespace
}  // namespace seer
