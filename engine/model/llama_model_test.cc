#include "engine/model/llama_model.h"

#include <sys/stat.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/gate/gate_set.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/reference_llama.h"
#include "tests/testing/engine/tiny_llama.h"
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

class LlamaModelTest : public testing::Test {
 protected:
  void Load(const TinyLlamaOptions& options, DType dtype) {
    const std::string folder =
        testing::TempDir() +
        testing::UnitTest::GetInstance()->current_test_info()->name();
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, options).ok());
    auto reference = ReferenceLlama::Load(folder, options);
    ASSERT_TRUE(reference.ok()) << reference.status();
    reference_ = std::make_unique<ReferenceLlama>(*std::move(reference));
    auto runner = ModelRunner::Load(folder, dtype, 200);
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

TEST_F(LlamaModelTest, DenseFloat32) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  const int32_t id = runner_->Add(RandomTokens(150, 1), 150, {}, nullptr);
  ASSERT_TRUE(runner_->RunAlone(id, 1024).ok());
  ExpectLikeReference(id, DType::kFloat32);
}

TEST_F(LlamaModelTest, DenseBFloat16) {
  Load(TinyLlamaOptions(), DType::kBFloat16);
  const int32_t id = runner_->Add(RandomTokens(150, 1), 140, {}, nullptr);
  ASSERT_TRUE(runner_->RunAlone(id, 1024).ok());
  ExpectLikeReference(id, DType::kBFloat16);
}

TEST_F(LlamaModelTest, UntiedHeadAndStoredFloat32) {
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

TEST_F(LlamaModelTest, RaggedMixedBatchFloat32) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  RunMixedBatch(*runner_, mean_pool_);
  for (int32_t id = 0; id < 4; ++id) ExpectLikeReference(id, DType::kFloat32);
}

TEST_F(LlamaModelTest, RaggedMixedBatchBFloat16) {
  Load(TinyLlamaOptions(), DType::kBFloat16);
  RunMixedBatch(*runner_, mean_pool_);
  for (int32_t id = 0; id < 4; ++id) ExpectLikeReference(id, DType::kBFloat16);
}

TEST_F(LlamaModelTest, CountsTheBlocksThatAttentionReads) {
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

TEST_F(LlamaModelTest, BudgetsThatReadEverythingEqualDenseExactly) {
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

TEST_F(LlamaModelTest, RefusesSequencesOutOfTheirLimits) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  // A chunk that ends inside a tile.
  const int32_t id = runner_->Add(RandomTokens(300, 9), 300, {}, nullptr);
  EXPECT_EQ(runner_->Step({{id, 100}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(runner_->Step({}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LlamaModelTest, AnOperatorsExceptionIsAStatus) {
  Load(TinyLlamaOptions(), DType::kFloat32);
  const int32_t id =
      runner_->Add({1, 2, kTinyLlamaVocabSize + 5}, 3, {}, nullptr);
  EXPECT_EQ(runner_->Step({{id, 3}}).code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace seer
