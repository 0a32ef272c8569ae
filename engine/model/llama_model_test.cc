#include "engine/model/llama_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/thread/executor.h"
#include "engine/gate/gate_set.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/reference_llama.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

using Sequence = ModelRunner::Sequence;

std::vector<int32_t> RandomTokens(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = random() % kTinyLlamaVocabSize;
  return tokens;
}

EffectivePolicy TopK(int64_t k) {
  EffectivePolicy policy;
  policy.budget.kind = BudgetKind::kTopKBlocks;
  policy.budget.top_k_blocks = k;
  return policy;
}
EffectivePolicy TargetSparsity(double s) {
  EffectivePolicy policy;
  policy.budget.kind = BudgetKind::kTargetSparsity;
  policy.budget.target_sparsity = s;
  return policy;
}
EffectivePolicy Threshold(double t) {
  EffectivePolicy policy;
  policy.budget.kind = BudgetKind::kThreshold;
  policy.budget.threshold = t;
  return policy;
}

// On every device that is here.
class LlamaModelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  void Load(const TinyLlamaOptions& options, DType dtype) {
    const std::string folder = testing::TempDir() + "llama_model_" + GetParam();
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, options).ok());
    auto reference = ReferenceLlama::Load(folder, options);
    ASSERT_TRUE(reference.ok()) << reference.status();
    reference_ = std::make_unique<ReferenceLlama>(*std::move(reference));
    auto runner = ModelRunner::Load(folder, dtype, 200, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    mean_pool_ = BuiltinMeanPool(runner_->gate_shape());
  }

  // The sequence's logits against the reference that reads the same blocks.
  void ExpectLikeReference(int32_t id, DType dtype) {
    const Sequence& s = runner_->sequence(id);
    ASSERT_EQ(s.num_computed, static_cast<int64_t>(s.tokens.size()));
    const auto mask = [&](int32_t layer, int32_t head, int32_t tile,
                          int32_t block) {
      return bool{s.sets.at({layer, tile, head})[block]};
    };
    const ReferencePrecision plain_precision =
        dtype == DType::kFloat32 ? ReferencePrecision::kFloat32
                                 : ReferencePrecision::kBFloat16;
    const std::vector<float> exact = reference_->Forward(
        s.tokens, s.prompt_len, mask, ReferencePrecision::kDouble);
    const std::vector<float> plain =
        reference_->Forward(s.tokens, s.prompt_len, mask, plain_precision);
    EXPECT_TRUE(WithinErrorBudget(s.logits, plain, exact, dtype)) << id;
  }

  std::unique_ptr<ReferenceLlama> reference_;
  std::unique_ptr<ModelRunner> runner_;
  std::shared_ptr<const GateSet> mean_pool_;
};

TEST_P(LlamaModelTest, DenseFloat32) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  const int32_t id = runner_->Add(RandomTokens(150, 1), 150, {}, nullptr);
  ASSERT_TRUE(runner_->RunAlone(id, 1024).ok());
  ExpectLikeReference(id, DType::kFloat32);
}

TEST_P(LlamaModelTest, DenseBFloat16) {
  Load(TinyLlamaOptions(), DType::kBFloat16);
  const int32_t id = runner_->Add(RandomTokens(150, 1), 140, {}, nullptr);
  ASSERT_TRUE(runner_->RunAlone(id, 1024).ok());
  ExpectLikeReference(id, DType::kBFloat16);
}

TEST_P(LlamaModelTest, UntiedHeadAndStoredFloat32) {
  TinyLlamaOptions options;
  options.tie_word_embeddings = false;
  options.store_float32 = true;
  options.num_layers = 3;
  options.head_dim = 32;
  options.num_kv_heads = 1;
  Load(options, DType::kFloat32);
  const int32_t id = runner_->Add(RandomTokens(70, 2), 65, {}, nullptr);
  ASSERT_TRUE(runner_->RunAlone(id, 64).ok());
  ExpectLikeReference(id, DType::kFloat32);
}

// Prompt chunks and decode rows of sequences under every policy, side by side.
void RunMixedBatch(ModelRunner& runner, std::shared_ptr<const GateSet> gate) {
  const int32_t a = runner.Add(RandomTokens(330, 3), 326, TopK(1), gate);
  const int32_t b = runner.Add(RandomTokens(70, 4), 65, {}, nullptr);
  const int32_t c =
      runner.Add(RandomTokens(400, 5), 400, TargetSparsity(0.3), gate);
  const int32_t d = runner.Add(RandomTokens(257, 6), 256, Threshold(0.3), gate);
  const std::vector<std::vector<ModelRunner::Slice>> steps = {
      {{a, 128}, {b, 65}, {d, 64}},
      {{a, 64}, {c, 192}, {d, 192}, {b, 1}},
      {{b, 1}, {a, 134}, {c, 64}, {d, 1}},
      {{c, 144}, {a, 1}, {b, 1}},
      {{a, 1}, {b, 1}},
      {{b, 1}, {a, 1}},
      {{a, 1}},
  };
  for (const auto& step : steps) {
    const absl::Status status = runner.Step(step);
    ASSERT_TRUE(status.ok()) << status;
  }
}

TEST_P(LlamaModelTest, RaggedMixedBatchFloat32) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  RunMixedBatch(*runner_, mean_pool_);
  for (int32_t id = 0; id < 4; ++id) ExpectLikeReference(id, DType::kFloat32);
}

TEST_P(LlamaModelTest, RaggedMixedBatchBFloat16) {
  Load(TinyLlamaOptions(), DType::kBFloat16);
  RunMixedBatch(*runner_, mean_pool_);
  for (int32_t id = 0; id < 4; ++id) ExpectLikeReference(id, DType::kBFloat16);
}

TEST_P(LlamaModelTest, CountsTheBlocksThatAttentionReads) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  RunMixedBatch(*runner_, mean_pool_);
  int64_t skipped = 0;
  for (int32_t id = 0; id < 4; ++id) {
    const Sequence& s = runner_->sequence(id);
    std::vector<LayerBlocks> counted(s.blocks.size());
    for (const auto& [key, set] : s.sets) {
      counted[key[0]].visible += static_cast<int64_t>(set.size());
      for (const bool selected : set) counted[key[0]].selected += selected;
    }
    for (size_t layer = 0; layer < counted.size(); ++layer) {
      EXPECT_EQ(s.blocks[layer].visible, counted[layer].visible) << id;
      EXPECT_EQ(s.blocks[layer].selected, counted[layer].selected) << id;
      skipped += counted[layer].visible - counted[layer].selected;
    }
  }
  EXPECT_GT(skipped, 0);
}

TEST_P(LlamaModelTest, BudgetsThatReadEverythingEqualDenseExactly) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Load(TinyLlamaOptions(), dtype);
    const std::vector<int32_t> tokens = RandomTokens(1000, 8);
    std::vector<int32_t> ids = {runner_->Add(tokens, 998, {}, nullptr)};
    for (const EffectivePolicy& policy :
         {TargetSparsity(0), TopK(1 << 20), Threshold(0)}) {
      ids.push_back(runner_->Add(tokens, 998, policy, mean_pool_));
    }
    for (const int32_t id : ids) {
      ASSERT_TRUE(runner_->RunAlone(id, 256).ok());
      EXPECT_TRUE(runner_->sequence(id).logits == runner_->sequence(0).logits)
          << id;
      for (const LayerBlocks& layer : runner_->sequence(id).blocks) {
        EXPECT_EQ(layer.visible, layer.selected);
      }
    }
  }
}

TEST_P(LlamaModelTest, RefusesSequencesOutOfTheirLimits) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  // A chunk that ends inside a tile.
  const int32_t id = runner_->Add(RandomTokens(300, 9), 300, {}, nullptr);
  EXPECT_EQ(runner_->Step({{id, 100}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(runner_->Step({}).code(), absl::StatusCode::kInvalidArgument);
  // A token of no vocabulary, which would end a GPU's context.
  const int32_t bad =
      runner_->Add({1, 2, kTinyLlamaVocabSize + 5}, 3, {}, nullptr);
  EXPECT_EQ(runner_->Step({{bad, 3}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(runner_->Step({{id, 64}}).ok());
}

TEST_P(LlamaModelTest, AnExceptionIsAStatus) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  const std::vector<int32_t> tokens = {1, 2, 3};
  const std::vector<int32_t> pages = {0};
  BatchSequence sequence;
  sequence.tokens = tokens;
  sequence.prompt_len = 3;
  sequence.page_table = pages;
  const auto forward = [&](std::function<void(const LayerTrace&)> trace) {
    const auto ignore = [](const LogitsBlock&) { return absl::OkStatus(); };
    return runner_->model()
        .Forward({{sequence}, &runner_->cache(), ignore, std::move(trace)})
        .status()
        .code();
  };
  EXPECT_EQ(forward([](const LayerTrace&) { throw std::runtime_error("!"); }),
            absl::StatusCode::kInternal);
  EXPECT_EQ(forward([](const LayerTrace&) { throw std::bad_alloc(); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(forward(nullptr), absl::StatusCode::kOk);
}

TEST_P(LlamaModelTest, RandomWeightsAreFiniteAndTheSeeds) {
  Load(TinyLlamaOptions(), DType::kBFloat16);
  const ModelConfig config = runner_->model().config();
  std::vector<std::vector<float>> logits;
  for (const uint64_t seed : {1, 1, 2}) {
    InlineExecutor executor;
    const std::unique_ptr<Device> device =
        *OpenTestDevice(GetParam(), &executor);
    auto model =
        LlamaModel::MakeRandom(config, seed, DType::kBFloat16, device.get());
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_GT((*model)->StepBytes(512, 64), 0);
    const std::vector<int32_t> tokens = RandomTokens(70, 3);
    const std::vector<int32_t> pages = {1, 0};
    const auto cache =
        KvCache::Allocate({config.num_layers, config.num_kv_heads,
                           config.head_dim, DType::kBFloat16, 2},
                          device.get());
    ASSERT_TRUE(cache.ok());
    BatchSequence sequence;
    sequence.tokens = tokens;
    sequence.prompt_len = 70;
    sequence.page_table = pages;
    sequence.logits = LogitsRows::kLast;
    const auto keep = [&](const LogitsBlock& block) {
      logits.emplace_back(block.logits, block.logits + config.vocab_size);
      return absl::OkStatus();
    };
    const auto report = (*model)->Forward({{sequence}, &*cache, keep, nullptr});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_GT(report->attention_time, absl::ZeroDuration());
  }
  ASSERT_EQ(logits.size(), 3u);
  for (const float logit : logits[0]) EXPECT_TRUE(std::isfinite(logit));
  EXPECT_TRUE(logits[0] == logits[1]);
  EXPECT_FALSE(logits[0] == logits[2]);
}

// The same rows as logits and as best tokens, in batches of which some
// sequences want the one and some the other.
TEST_P(LlamaModelTest, BestTokensAreTheLogitsHighest) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Load(TinyLlamaOptions(), dtype);
    LlamaModel& model = runner_->model();
    const int32_t vocab_size = model.config().vocab_size;
    constexpr int32_t kNumSequences = 5;
    std::vector<std::vector<int32_t>> tokens, pages;
    for (int32_t i = 0; i < kNumSequences; ++i) {
      tokens.push_back(RandomTokens(20 + i, 40 + i));
      pages.push_back({i});
    }
    RowDraw greedy;
    greedy.draw.temperature = 0.0;
    // Bit i: sequence i asks for its best token alone.
    std::vector<TokenId> best(kNumSequences);
    std::vector<TokenId> highest(kNumSequences);
    for (const int which : {0, 31, 1, 16, 10}) {
      std::vector<BatchSequence> batch(kNumSequences);
      std::fill(best.begin(), best.end(), -7);
      for (int32_t i = 0; i < kNumSequences; ++i) {
        batch[i].tokens = tokens[i];
        batch[i].prompt_len = static_cast<int32_t>(tokens[i].size());
        batch[i].page_table = pages[i];
        const bool wants_best = (which >> i & 1) != 0;
        if (wants_best) {
          batch[i].draws = absl::MakeConstSpan(&greedy, 1);
          batch[i].drawn = &best[i];
        }
        batch[i].logits = wants_best ? LogitsRows::kNone : LogitsRows::kLast;
      }
      int32_t num_rows = 0;
      const auto keep = [&](const LogitsBlock& block) {
        for (size_t i = 0; i < block.rows.size(); ++i) {
          const float* row = block.logits + i * vocab_size;
          EXPECT_EQ(which >> block.rows[i].sequence & 1, 0);
          EXPECT_EQ(block.rows[i].position, 19 + block.rows[i].sequence);
          highest[block.rows[i].sequence] = static_cast<TokenId>(
              std::max_element(row, row + vocab_size) - row);
          ++num_rows;
        }
        return absl::OkStatus();
      };
      const auto report =
          model.Forward({batch, &runner_->cache(), keep, nullptr});
      ASSERT_TRUE(report.ok()) << report.status();
      int32_t num_best = 0;
      for (int32_t i = 0; i < kNumSequences; ++i) {
        const bool wants_best = (which >> i & 1) != 0;
        EXPECT_EQ(best[i], wants_best ? highest[i] : -7) << which << " " << i;
        num_best += wants_best ? 1 : 0;
      }
      EXPECT_EQ(num_rows, kNumSequences - num_best);
    }
  }
}

// Scores of a prompt's tokens and of what is drawn at its end, against the rows
// of logits themselves.
TEST_P(LlamaModelTest, ScoresAreOfTheLogits) {
  // The two come of products of different shapes, which round differently.
  constexpr double kRounding = 1e-5;
  Load(TinyLlamaOptions(), DType::kFloat32);
  LlamaModel& model = runner_->model();
  const int32_t vocab_size = model.config().vocab_size;
  constexpr int32_t kLen = 70;
  constexpr int32_t kTop = 4;
  const std::vector<int32_t> tokens = RandomTokens(kLen, 9);
  const std::vector<int32_t> pages = {0, 1};
  std::vector<RowDraw> draws(3);
  draws[0].draw.temperature = 0.0;
  draws[1].draw.uniform = 0.3;
  draws[2].draw.uniform = 0.9;
  std::vector<TokenId> drawn(3, -7);
  std::vector<RowScore> drawn_scores(3), scores(kLen - 1);
  BatchSequence sequence;
  sequence.tokens = tokens;
  sequence.prompt_len = kLen;
  sequence.page_table = pages;
  sequence.logits = LogitsRows::kAll;
  sequence.draws = draws;
  sequence.drawn = drawn.data();
  sequence.drawn_scores = drawn_scores.data();
  sequence.scored = absl::MakeConstSpan(tokens).subspan(1);
  sequence.scores = scores.data();
  sequence.num_top = kTop;
  std::vector<float> logits;
  const auto keep = [&](const LogitsBlock& block) {
    logits.insert(logits.end(), block.logits,
                  block.logits + block.rows.size() * vocab_size);
    return absl::OkStatus();
  };
  const auto report =
      model.Forward({{sequence}, &runner_->cache(), keep, nullptr});
  ASSERT_TRUE(report.ok()) << report.status();
  const auto expect = [&](int32_t row, TokenId token, const RowScore& score) {
    const auto row_logits = absl::MakeConstSpan(logits).subspan(
        int64_t{row} * vocab_size, vocab_size);
    ASSERT_GE(token, 0);
    std::vector<int32_t> ids(vocab_size);
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t x, int32_t y) {
      return row_logits[x] > row_logits[y];
    });
    double sum = 0.0;
    for (const float logit : row_logits) {
      sum += std::exp(double{logit} - row_logits[ids[0]]);
    }
    const double log_sum = row_logits[ids[0]] + std::log(sum);
    EXPECT_EQ(ids[score.num_better], token) << row;
    EXPECT_NEAR(score.logit, row_logits[token], kRounding) << row;
    // And the sum is of `vocab_size` fp32 numbers, each rounded a few times.
    EXPECT_NEAR(score.log_sum_exp, log_sum,
                kRounding + vocab_size * std::pow(2.0, -22))
        << row;
    ASSERT_EQ(score.top.size(), static_cast<size_t>(kTop));
    for (int32_t i = 0; i < kTop; ++i) {
      EXPECT_EQ(score.top[i].id, ids[i]) << row << " " << i;
      EXPECT_NEAR(score.top[i].logit, row_logits[ids[i]], kRounding)
          << row << " " << i;
    }
  };
  for (int32_t row = 0; row + 1 < kLen; ++row) {
    expect(row, tokens[row + 1], scores[row]);
  }
  for (int i = 0; i < 3; ++i) expect(kLen - 1, drawn[i], drawn_scores[i]);
  EXPECT_EQ(drawn_scores[0].num_better, 0);
  EXPECT_LE(drawn[1], drawn[2]);  // in order of id
}

INSTANTIATE_TEST_SUITE_P(Devices, LlamaModelTest,
                         testing::ValuesIn(TestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
