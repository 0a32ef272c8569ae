#include "tests/golden_tests/gate_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/block_selection/row_budget.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/selection_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/oracles/gate_oracle.h"
#include "tests/testing/kernels/oracles/near_tie.h"

namespace seer {
namespace {

constexpr uint64_t kPageSeed = 5;

const char* Name(DType dtype) {
  return dtype == DType::kFloat32 ? "fp32" : "bf16";
}

// Our logits [Hq, n, n]; 0 above the diagonal, as in golden files.
std::vector<float> ScoreLayer(const GoldenLayer& layer, const GateWeights& gate,
                              const std::string& scaling, DType dtype,
                              Backend backend) {
  PagedSequences sequences(layer.shape, dtype, {layer.tokens},
                           layer.Rope(scaling), kPageSeed);
  const PreparedStep step =
      sequences.Prepare(backend, sequences.WholePrompts());
  const std::vector<float> logits =
      ScoredGate(&sequences, gate).Score(backend, step);
  const int64_t n = layer.num_tiles();
  const int64_t num_heads = layer.shape.num_query_heads;
  std::vector<float> result(num_heads * n * n);
  for (int64_t h = 0; h < num_heads; ++h) {
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(&logits[(i * num_heads + h) * n], i + 1,
                  &result[(h * n + i) * n]);
    }
  }
  return result;
}

// The gate in double, and what an fp32 logit may differ from it.
struct GateTruth {
  std::vector<float> logits;  // [Hq, n, n]
  double budget = 0.0;
};

// fp32 angles are an input of the gate; what they change is measured. The
// roundings of the longest chain (pool, project, rotate, multiply) are
// independent, so their sum grows as the root of their number; each is half a
// unit of the sum of the products' magnitudes.
GateTruth TruthOf(const GoldenLayer& layer, const GateWeights& gate,
                  const std::string& scaling) {
  const RopeConfig rope = layer.Rope(scaling);
  const ExactLogits exact = ScoreExactly(layer.shape, layer.tokens, gate,
                                         MakeExactRope(rope, layer.tokens.len));
  const PagedSequences sequences(layer.shape, DType::kFloat32, {layer.tokens},
                                 rope, kPageSeed);
  const ExactLogits with_angles = ScoreExactly(layer.shape, layer.tokens, gate,
                                               ToExactRope(sequences.rope()));
  double angle_error = 0.0;
  double magnitude = 0.0;
  for (size_t i = 0; i < exact.logits.size(); ++i) {
    angle_error = std::max(angle_error,
                           std::abs(with_angles.logits[i] - exact.logits[i]));
    magnitude = std::max(magnitude, exact.magnitudes[i]);
  }
  const int num_pools =
      std::max(gate.query_pools.size(), gate.key_pools.size());
  const double num_roundings =
      kBlockSize + (num_pools + 1.0) * layer.shape.head_dim;
  GateTruth truth;
  truth.logits.assign(exact.logits.begin(), exact.logits.end());
  truth.budget = 2.0 * angle_error +
                 std::sqrt(num_roundings) * HalfUlp(magnitude, DType::kFloat32);
  return truth;
}

// Largest |a - b|.
double LargestDifference(const std::vector<float>& a,
                         const std::vector<float>& b) {
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  }
  return largest;
}

void CheckLogits(const GoldenLayer& layer, const GateWeights& gate,
                 const std::string& tensor, const std::string& scaling) {
  const std::vector<float>& golden = *layer.Floats(tensor);
  const GateTruth truth = TruthOf(layer, gate, scaling);
  ASSERT_EQ(golden.size(), truth.logits.size()) << "not [Hq, n, n]";
  EXPECT_LE(LargestDifference(golden, truth.logits), truth.budget);
  const std::vector<float> plain_bf16 =
      ScoreLayer(layer, gate, scaling, DType::kBFloat16, Backend::kReference);
  for (const Backend backend : RunnableBackends()) {
    const std::vector<float> fp32 =
        ScoreLayer(layer, gate, scaling, DType::kFloat32, backend);
    EXPECT_LE(LargestDifference(fp32, truth.logits), truth.budget)
        << Name(backend) << " fp32";
    EXPECT_TRUE(WithinErrorBudget(
        ScoreLayer(layer, gate, scaling, DType::kBFloat16, backend), plain_bf16,
        golden, DType::kFloat32))
        << Name(backend) << " bf16";
  }
}

// How a mask comes about.
struct MaskSource {
  SelectionRule rule;
  double sparsity = 0.0;  // kRowBudget
  bool is_known = false;
};

// mask_nz_<density>_{plain,last}: the reference's uniform count at that
// density, nothing forced, without or with two dense rows. mask_threshold_<t>
// and blocks_threshold_<t>: nothing forced. blocks_s<percent>: target_sparsity
// with the diagonal and, but for 50, one sink and two dense tiles.
MaskSource ParseMask(const std::string& name, int64_t num_tiles) {
  MaskSource source;
  SelectionRule& rule = source.rule;
  rule.num_prompt_tiles = static_cast<int32_t>(num_tiles);
  rule.sink_blocks = 0;
  rule.dense_last_blocks = 0;
  rule.keep_diagonal = false;
  const std::vector<std::string> words = absl::StrSplit(name, '_');
  double number = 0.0;
  if (words.size() == 4 && absl::StartsWith(name, "mask_nz_") &&
      (words[3] == "plain" || words[3] == "last")) {
    source.is_known = absl::SimpleAtod(words[2], &number);
    rule.kind = SelectionRule::Kind::kTopK;
    rule.top_k =
        std::max(1, static_cast<int32_t>((1.0 - std::sqrt(1.0 - number)) *
                                         static_cast<double>(num_tiles)));
    rule.dense_last_blocks = words[3] == "last" ? 2 : 0;
  } else if (words.size() == 3 && words[1] == "threshold") {
    source.is_known = absl::SimpleAtod(words[2], &number);
    rule.kind = SelectionRule::Kind::kThreshold;
    rule.threshold = static_cast<float>(number);
  } else if (words.size() == 2 && absl::StartsWith(name, "blocks_s")) {
    source.is_known = absl::SimpleAtod(words[1].substr(1), &number);
    rule.kind = SelectionRule::Kind::kRowBudget;
    rule.keep_diagonal = true;
    rule.sink_blocks = number == 50.0 ? 0 : 1;
    rule.dense_last_blocks = number == 50.0 ? 0 : 2;
    source.sparsity = number / 100.0;
  }
  return source;
}

// The mask [Hq, n, n] that selection makes of logits [Hq, n, n].
std::vector<uint8_t> SelectLayer(const GoldenLayer& layer,
                                 const MaskSource& source,
                                 const std::vector<float>& logits,
                                 Backend backend) {
  const int64_t n = layer.num_tiles();
  const int32_t num_heads = layer.shape.num_query_heads;
  const RaggedCase ragged({WholePrompt(layer.tokens.len)}, kPageSeed);
  SelectionRule rule = source.rule;
  RowBudgetShape shape;
  shape.num_tiles = n;
  shape.sink_blocks = rule.sink_blocks;
  shape.dense_last_blocks = rule.dense_last_blocks;
  shape.keep_diagonal = rule.keep_diagonal;
  const std::vector<int32_t> budgets(
      num_heads, static_cast<int32_t>(
                     SolveRowBudget(shape, 1.0 - source.sparsity).k_1024));
  rule.row_budgets = budgets.data();

  std::vector<float> by_tile(logits.size());
  for (int64_t h = 0; h < num_heads; ++h) {
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(&logits[(h * n + i) * n], n,
                  &by_tile[(i * num_heads + h) * n]);
    }
  }
  BlockSelectionArgs args;
  args.batch = ragged.batch();
  args.rules = &rule;
  args.num_query_heads = num_heads;
  args.logits = by_tile.data();
  args.logits_row_len = static_cast<int32_t>(n);
  args.sets.num_query_heads = num_heads;
  args.sets.num_words = static_cast<int32_t>((n + 63) / 64);
  std::vector<uint64_t> bits(n * num_heads * args.sets.num_words);
  std::vector<int32_t> counts(n * num_heads);
  args.sets.bits = bits.data();
  args.sets.counts = counts.data();
  const absl::Status status = SelectOn(backend, args);
  EXPECT_TRUE(status.ok()) << status;

  std::vector<uint8_t> mask(logits.size());
  for (int64_t h = 0; h < num_heads; ++h) {
    for (int64_t i = 0; i < n; ++i) {
      const bool is_full = counts[args.sets.Row(i, h)] == i + 1;
      for (int64_t j = 0; j <= i; ++j) {
        mask[(h * n + i) * n + j] =
            is_full || (args.sets.Bits(i, h)[j / 64] >> (j % 64) & 1) != 0;
      }
    }
  }
  return mask;
}

// The number of rows in which the masks differ; see near_tie.h.
int64_t CheckRows(const GoldenLayer& layer, const SelectionRule& rule,
                  const std::vector<float>& logits,
                  const std::vector<uint8_t>& want,
                  const std::vector<uint8_t>& got, double gap) {
  const int64_t n = layer.num_tiles();
  int64_t num_different = 0;
  for (int64_t row = 0; row < layer.shape.num_query_heads * n; ++row) {
    if (DiffersAtNearTies(rule, &logits[row * n], &want[row * n], &got[row * n],
                          row % n + 1, gap)) {
      ++num_different;
    }
  }
  return num_different;
}

const std::vector<float>* DefaultLogits(const GoldenLayer& layer) {
  const std::vector<float>* logits = layer.Floats("gate_logits");
  return logits != nullptr ? logits : layer.Floats("gate_logits_default");
}

}  // namespace

void CheckGateLogits(const GoldenLayer& layer, const std::string& tensor,
                     const std::string& scaling) {
  CheckLogits(layer, layer.gate, tensor, scaling);
}

void CheckMeanPoolLogits(const GoldenLayer& layer) {
  CheckLogits(layer, MeanPoolGate(), "mean_pool_logits", "default");
}

void CheckGateProbabilities(const GoldenLayer& layer) {
  const std::vector<float>& golden = *layer.Floats("gate_probs");
  const GateTruth truth = TruthOf(layer, layer.gate, "default");
  const int64_t n = layer.num_tiles();
  ASSERT_EQ(golden.size(), truth.logits.size()) << "not [Hq, n, n]";
  for (const Backend backend : RunnableBackends()) {
    const std::vector<float> logits =
        ScoreLayer(layer, layer.gate, "default", DType::kFloat32, backend);
    std::vector<float> probs(n);
    for (int64_t row = 0; row < layer.shape.num_query_heads * n; ++row) {
      const int64_t num_visible = row % n + 1;
      GateSoftmax(&logits[row * n], static_cast<int32_t>(num_visible),
                  probs.data());
      const std::vector<double> log_probs =
          LogSoftmax(&truth.logits[row * n], num_visible);
      // A log-probability moves with two logits; the softmax rounds its
      // exponents and the sum of its terms.
      const double relative = 2.0 * truth.budget + SoftmaxRounding(num_visible);
      for (int64_t j = 0; j < num_visible; ++j) {
        const double exact = std::exp(log_probs[j]);
        EXPECT_NEAR(golden[row * n + j], exact, exact * relative);
        EXPECT_NEAR(probs[j], exact, exact * relative) << Name(backend);
      }
    }
  }
}

bool CanCheckMasks(const GoldenLayer& layer) {
  return layer.has_gate() && DefaultLogits(layer) != nullptr;
}

bool IsMaskName(const std::string& name) { return ParseMask(name, 1).is_known; }

void CheckMask(const GoldenLayer& layer, const std::string& mask) {
  const MaskSource source = ParseMask(mask, layer.num_tiles());
  const std::vector<uint8_t>& want = *layer.Mask(mask);
  const std::vector<float>* golden = DefaultLogits(layer);
  ASSERT_NE(golden, nullptr) << "the file has no logits that explain masks";
  const GateTruth truth = TruthOf(layer, layer.gate, "default");
  const double bf16_error =
      LargestDifference(ScoreLayer(layer, layer.gate, "default",
                                   DType::kBFloat16, Backend::kReference),
                        *golden);
  const int64_t num_rows = layer.shape.num_query_heads * layer.num_tiles();
  // From the golden logits themselves: equal, but where the reference, which
  // compares probabilities, cannot tell two of them apart.
  for (const Backend backend : RunnableBackends()) {
    const int64_t num_rounded =
        CheckRows(layer, source.rule, *golden, want,
                  SelectLayer(layer, source, *golden, backend),
                  2.0 * SoftmaxRounding(layer.num_tiles()));
    if (num_rounded != 0) {
      std::printf("%s %s: %lld rows differ from the golden logits' own\n",
                  mask.c_str(), Name(backend),
                  static_cast<long long>(num_rounded));
    }
  }
  for (const Backend backend : RunnableBackends()) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      const std::vector<float> logits =
          ScoreLayer(layer, layer.gate, "default", dtype, backend);
      // By CheckGateLogits, ours and golden logits differ by two budgets at
      // most, and two logits decide.
      const double budget =
          dtype == DType::kFloat32 ? truth.budget : bf16_error;
      const int64_t num_different =
          CheckRows(layer, source.rule, *golden, want,
                    SelectLayer(layer, source, logits, backend), 4.0 * budget);
      std::printf("%s %s %s: %lld of %lld rows differ, at near-ties\n",
                  mask.c_str(), Name(backend), Name(dtype),
                  static_cast<long long>(num_different),
                  static_cast<long long>(num_rows));
    }
  }
}

}  // namespace seer
