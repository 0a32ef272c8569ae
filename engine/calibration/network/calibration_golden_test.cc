// Losses, gate logits and probabilities against every golden layer of a
// directory: attn_gate_*.safetensors and layer_*.safetensors.
#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "engine/calibration/network/gate_loss.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/gate/gate_design.h"
#include "gtest/gtest.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/golden_file.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"
#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

// A file's tensor in double, which holds its fp32 exactly.
at::Tensor Tensor(const GoldenTensors& file, const std::string& name) {
  std::vector<float> values = file.Floats(name);
  return at::from_blob(values.data(), file.Shape(name), at::kFloat)
      .to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
}

double Loss(GateLoss loss, const at::Tensor& logits, const at::Tensor& target) {
  const int64_t num_tiles = logits.size(1);
  GateLossArgs args;
  args.loss = loss;
  args.first_tile = FirstLossTile(loss, num_tiles);
  args.num_terms =
      static_cast<double>(logits.size(0) * NumLossTerms(loss, num_tiles));
  args.logits = logits.slice(1, args.first_tile);
  args.target = target.slice(1, args.first_tile);
  return ComputeGateLoss(args).value.item<double>();
}

// How far rounding logits and targets of the file to fp32, and the loss itself,
// can have moved the loss: a target's rounding moves its term by the term's
// derivative, a logit's all log-probabilities of its row by twice itself.
double RoundingOf(GateLoss loss, const at::Tensor& logits,
                  const at::Tensor& target) {
  constexpr double kHalfUlp = 0x1p-24;
  const int64_t num_tiles = logits.size(1);
  const at::Tensor hidden =
      VisibleBlocksOf(0, num_tiles, num_tiles, at::kCPU).logical_not();
  const at::Tensor log_probs =
      at::log_softmax(
          logits.masked_fill(hidden, -std::numeric_limits<double>::infinity()),
          -1)
          .masked_fill(hidden, 0.0);
  const double logit = logits.abs().max().item<double>() * kHalfUlp;
  const double num_terms =
      static_cast<double>(logits.size(0) * NumLossTerms(loss, num_tiles));
  at::Tensor moved;
  if (loss == GateLoss::kMse) {
    const at::Tensor probs = log_probs.exp().masked_fill(hidden, 0.0);
    moved = (probs - target).abs() * 2.0 *
            (target * kHalfUlp + probs * (2.0 * logit));
  } else {
    // The derivative of t ln t - t lp is ln t + 1 - lp.
    moved = target * kHalfUlp *
                (target.clamp_min(1e-300).log().abs() + 1.0 + log_probs.abs()) +
            target * (2.0 * logit);
  }
  return moved.sum().item<double>() / num_terms +
         kHalfUlp * Loss(loss, logits, target);
}

void CheckLoss(const GoldenTensors& file, const std::string& name,
               GateLoss loss, const std::string& logits_name,
               const std::string& target_name) {
  if (!file.Has(name)) return;
  SCOPED_TRACE(name);
  const at::Tensor logits = Tensor(file, logits_name);
  const at::Tensor target = Tensor(file, target_name);
  const double golden = file.Floats(name)[0];
  const double tolerance = RoundingOf(loss, logits, target);
  // What is not visible is 0 in files; anything must do.
  const at::Tensor hidden =
      VisibleBlocksOf(0, logits.size(1), logits.size(1), at::kCPU)
          .logical_not();
  EXPECT_NEAR(Loss(loss, logits.masked_fill(hidden, 3.0), target), golden,
              tolerance);
  EXPECT_LT(tolerance, golden * 1e-4) << "the check sees nothing";
  std::printf("  %s: %.9g, wrong by %.2g of %.2g\n", name.c_str(), golden,
              std::abs(Loss(loss, logits, target) - golden), tolerance);
}

std::vector<std::string> LayerPaths() {
  std::vector<std::string> paths = GoldenPaths("attn_gate_", ".safetensors");
  for (const std::string& path : GoldenPaths("layer_", ".safetensors")) {
    paths.push_back(path);
  }
  return paths;
}

TEST(CalibrationGoldenTest, Losses) {
  if (LayerPaths().empty()) GTEST_SKIP() << "no layer in " << GoldenDir();
  for (const std::string& path : LayerPaths()) {
    SCOPED_TRACE(path);
    const GoldenTensors file(path);
    CheckLoss(file, "loss_kl_reference", GateLoss::kKlReference, "gate_logits",
              "ground_truth");
    CheckLoss(file, "loss_mse_v1", GateLoss::kMse, "gate_logits",
              "ground_truth");
    CheckLoss(file, "loss_kl_max", GateLoss::kKl, "gate_logits_default",
              "target_max");
    CheckLoss(file, "loss_kl_mass", GateLoss::kKl, "gate_logits_default",
              "target_mass");
  }
}

// The probabilities, out of the gradient of `kl`: probability - target.
TEST(CalibrationGoldenTest, Probabilities) {
  int num_checked = 0;
  for (const std::string& path : LayerPaths()) {
    const GoldenTensors file(path);
    if (!file.Has("gate_probs")) continue;
    SCOPED_TRACE(path);
    const at::Tensor probs = Tensor(file, "gate_probs");
    GateLossArgs args;
    args.loss = GateLoss::kKl;
    args.num_terms = 1.0;
    args.logits = Tensor(file, "gate_logits");
    args.target = Tensor(file, "ground_truth");
    const at::Tensor ours = ComputeGateLoss(args).gradient + args.target;
    // A logarithm moves with two logits of the file, a target's sum with the
    // target; the golden softmax is fp32.
    const double largest = args.logits.abs().max().item<double>();
    const double num_blocks = static_cast<double>(probs.size(2));
    EXPECT_LE((ours - probs).abs().max().item<double>(),
              (2.0 * largest + 2.0 + num_blocks) * 0x1p-24);
    ++num_checked;
  }
  if (num_checked == 0) GTEST_SKIP() << "no probabilities in " << GoldenDir();
}

// The gate of a file, with its tokens.
struct GoldenGate {
  HeadShape shape;
  SequenceTokens tokens;
  GateWeights weights;
  RopeConfig rope;

  int64_t num_tiles() const { return NumBlocks(tokens.len); }
};

GoldenGate LoadGate(const GoldenTensors& file) {
  GoldenGate gate;
  gate.shape.num_query_heads = static_cast<int32_t>(file.Shape("q")[1]);
  gate.shape.num_kv_heads = static_cast<int32_t>(file.Shape("k")[1]);
  gate.shape.head_dim = static_cast<int32_t>(file.Shape("q")[2]);
  gate.tokens.len = static_cast<int32_t>(file.Shape("q")[0]);
  gate.tokens.prompt_len = gate.tokens.len;
  gate.tokens.queries = file.Floats("q");
  gate.tokens.keys = file.Floats("k");
  gate.tokens.values = file.Floats("v");
  const GateDesign design = ParseGateDesign(file.Text("design")).value();
  gate.weights.query_pools = design.query_pools;
  gate.weights.key_pools = design.key_pools;
  gate.weights.linear_k = file.Floats("mask_linear_k");
  if (file.Has("mask_linear_q")) {
    gate.weights.linear_q = file.Floats("mask_linear_q");
  }
  gate.rope.theta = file.Number("rope_theta");
  gate.rope.head_dim = gate.shape.head_dim;
  return gate;
}

at::Tensor ViewOf(const float* values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values), shape, at::kFloat);
}

GateNetwork NetworkOf(const GoldenGate& gate, const RopeTable& rope) {
  const int64_t head_dim = gate.shape.head_dim;
  GateNetwork network;
  network.shape.num_query_heads = gate.shape.num_query_heads;
  network.shape.num_kv_heads = gate.shape.num_kv_heads;
  network.shape.head_dim = gate.shape.head_dim;
  network.shape.dtype = DType::kFloat32;
  network.design = {gate.weights.query_pools, gate.weights.key_pools};
  const bool is_double = gate.weights.is_double();
  if (is_double) {
    network.weights.linear_q =
        ViewOf(gate.weights.linear_q.data(),
               {gate.shape.num_query_heads,
                gate.weights.query_pools.size() * head_dim, head_dim});
  }
  network.weights.linear_k =
      ViewOf(gate.weights.linear_k.data(),
             {is_double ? gate.shape.num_kv_heads : gate.shape.num_query_heads,
              gate.weights.key_pools.size() * head_dim, head_dim});
  const auto at_blocks = [&](const float* table) {
    return ViewOf(table, {rope.num_positions, head_dim / 2})
        .slice(0, 0, rope.num_positions, kBlockSize);
  };
  network.cos = at_blocks(rope.cos);
  network.sin = at_blocks(rope.sin);
  return network;
}

// The visible entries of logits [n, Hq, n].
std::vector<float> Visible(const float* logits, int64_t num_heads,
                           int64_t num_tiles) {
  std::vector<float> visible;
  for (int64_t row = 0; row < num_tiles * num_heads; ++row) {
    const float* const begin = logits + row * num_tiles;
    visible.insert(visible.end(), begin, begin + row / num_heads + 1);
  }
  return visible;
}

// In ranges of five tiles, as training scores them; fp32. Our budget is that of
// fp32 code as plain as can be, the kernels' reference.
void CheckLogits(const GoldenTensors& file, const std::string& name) {
  const GoldenGate gate = LoadGate(file);
  const int64_t n = gate.num_tiles();
  const int64_t num_heads = gate.shape.num_query_heads;
  const int64_t head_dim = gate.shape.head_dim;
  PagedSequences sequences(gate.shape, DType::kFloat32, {gate.tokens},
                           gate.rope, /*seed=*/5);
  const PreparedStep step =
      sequences.Prepare(Backend::kReference, sequences.WholePrompts());
  const std::vector<float> plain =
      ScoredGate(&sequences, gate.weights).Score(Backend::kReference, step);
  const PagedKv kv = sequences.kv();
  GateSequence sequence(NetworkOf(gate, sequences.rope()), gate.tokens.len);
  std::vector<float> ours(n * num_heads * n);
  for (int64_t first = 0; first < n; first += 5) {
    const int64_t last = std::min(n, first + 5);
    for (int64_t block = first; block < last; ++block) {
      sequence.AddKeys(ViewOf(
          kv.pooled_keys + kv.PoolOffset(sequences.pages(0)[block], 0, 0),
          {1, kv.num_kv_heads, kNumPools, head_dim}));
    }
    const at::Tensor logits = sequence.Score(
        ViewOf(&step.pooled_queries[first * num_heads * kNumPools * head_dim],
               {last - first, num_heads, kNumPools, head_dim}),
        first);
    ViewOf(&ours[first * num_heads * n], {last - first, num_heads, n})
        .narrow(2, 0, last)
        .copy_(logits.transpose(0, 1));
  }
  const at::Tensor golden =
      Tensor(file, name).to(at::kFloat).transpose(0, 1).contiguous();
  EXPECT_TRUE(WithinErrorBudget(
      Visible(ours.data(), num_heads, n), Visible(plain.data(), num_heads, n),
      Visible(golden.const_data_ptr<float>(), num_heads, n), DType::kFloat32));
}

TEST(CalibrationGoldenTest, Logits) {
  int num_checked = 0;
  for (const std::string& path : LayerPaths()) {
    const GoldenTensors file(path);
    for (const char* name : {"gate_logits", "gate_logits_default"}) {
      if (!file.Has(name) || !file.Has("mask_linear_k")) continue;
      SCOPED_TRACE(path + " " + name);
      CheckLogits(file, name);
      ++num_checked;
    }
  }
  if (num_checked == 0) GTEST_SKIP() << "no logits in " << GoldenDir();
}

}  // namespace
}  // namespace seer
