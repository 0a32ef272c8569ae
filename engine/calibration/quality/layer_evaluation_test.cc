#include "engine/calibration/quality/layer_evaluation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/calibration/scoring/trained_scorer.h"
#include "engine/calibration/scoring/weightless_scorer.h"
#include "engine/calibration/testing/teacher_gate.h"
#include "engine/model/aten/aten.h"
#include "gtest/gtest.h"
#include "kernels/paged_kv.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

class LayerEvaluationTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    auto device = OpenTestDevice(GetParam(), nullptr);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    ASSERT_TRUE(device_->BindThisThread().ok());
    LayerTrainerOptions options;
    options.shape.num_layers = 1;
    options.shape.num_query_heads = 4;
    options.shape.num_kv_heads = 2;
    options.shape.head_dim = 16;
    options.shape.dtype = DType::kFloat32;
    options.design = ParseGateDesign("Qavg_Kmaxminavg").value();
    teacher_ = std::make_unique<TeacherGate>(options.shape, options.design,
                                             3000, 3, device_.get());
    sequences_ = {teacher_->MakeSequence(3000, 1),
                  teacher_->MakeSequence(1280, 2)};
    auto trainer =
        LayerTrainer::Create(options, teacher_->rope(), device_.get());
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    trainer_ = *std::move(trainer);
  }
  void TearDown() override {
    trainer_.reset();
    sequences_.clear();
    teacher_.reset();
  }

  absl::StatusOr<LayerQuality> Evaluate() {
    return Evaluate(TrainedScorer(trainer_.get()));
  }
  absl::StatusOr<LayerQuality> Evaluate(const LayerScorer& scorer) {
    // More than forced blocks and dense tiles of a short prompt take.
    LayerQuestions questions;
    questions.budgets.densities = {0.7, 0.5, 0.4};
    questions.recall = questions.utility = true;
    auto evaluation = LayerEvaluation::Begin(scorer, {3000, 1280}, questions);
    if (!evaluation.ok()) return evaluation.status();
    absl::Status status;
    for (const TaughtSequence& sequence : sequences_) {
      EXPECT_FALSE((*evaluation)->End().ok());
      for (int64_t first = 0; first < sequence.num_tiles(); first += 8) {
        const TileRange range =
            sequence.Range(first, std::min(sequence.num_tiles(), first + 8));
        RangeTruth truth;
        truth.mass = range.target;
        truth.errors = [this](const BlockSets&, double*) {
          ++num_errors_;
          return absl::OkStatus();
        };
        status.Update((*evaluation)->AddRange(range, truth));
      }
      status.Update((*evaluation)->EndSequence());
    }
    if (!status.ok()) return status;
    return (*evaluation)->End();
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<TeacherGate> teacher_;
  std::vector<TaughtSequence> sequences_;
  std::unique_ptr<LayerTrainer> trainer_;
  int num_errors_ = 0;  // times that they were asked for
};

TEST_P(LayerEvaluationTest, LossIsTheTrainers) {
  const auto quality = Evaluate();
  ASSERT_TRUE(quality.ok()) << quality.status();
  ASSERT_TRUE(trainer_->BeginStep(0, {3000, 1280}).ok());
  for (const TaughtSequence& sequence : sequences_) {
    for (int64_t first = 0; first < sequence.num_tiles(); first += 8) {
      ASSERT_TRUE(trainer_
                      ->AddRange(sequence.Range(
                          first, std::min(sequence.num_tiles(), first + 8)))
                      .ok());
    }
    ASSERT_TRUE(trainer_->EndSequence().ok());
  }
  const auto result = trainer_->EndStep();
  ASSERT_TRUE(result.ok()) << result.status();
  // Rows of at most 47 blocks, 16 channels.
  EXPECT_NEAR(quality->loss, result->loss, result->loss * 47 * 16 * 0x1p-24);
}

TEST_P(LayerEvaluationTest, ATeacherSelectsAsItsOracle) {
  const auto untrained = Evaluate();
  ASSERT_TRUE(untrained.ok()) << untrained.status();
  Checkpoint checkpoint;
  ASSERT_TRUE(trainer_->Save(&checkpoint).ok());
  const at::Tensor weights = teacher_->network().weights.linear_k.cpu();
  std::memcpy(checkpoint.at("layers.0.linear_k").bytes.data(),
              weights.const_data_ptr(), weights.nbytes());
  ASSERT_TRUE(trainer_->Load(checkpoint).ok());
  const auto quality = Evaluate();
  ASSERT_TRUE(quality.ok()) << quality.status();
  ASSERT_EQ(quality->recall.size(), 3u);
  ASSERT_EQ(quality->utility.realized_densities.size(), 3u);
  EXPECT_EQ(quality->utility.utility, std::vector<double>(4 * 3));
  // Twice, of 6 and 3 ranges, three densities and of nothing.
  EXPECT_EQ(num_errors_, 2 * 9 * 4);
  for (size_t d = 0; d < 3; ++d) {
    const DensityRecall& recall = quality->recall[d];
    // Ranks are equal but where probabilities round to one; blocks so close
    // hold as much.
    EXPECT_GT(recall.block_recall, 0.999);
    EXPECT_NEAR(recall.mass_recall, recall.oracle_mass_recall, 1e-5);
    EXPECT_LT(untrained->recall[d].mass_recall, recall.mass_recall);
    EXPECT_LT(untrained->recall[d].block_recall, recall.block_recall);
    EXPECT_DOUBLE_EQ(quality->utility.realized_densities[d],
                     recall.realized_density);
  }
  EXPECT_LT(quality->loss, untrained->loss / 1000);
}

TEST_P(LayerEvaluationTest, AnOracleIsItsOwnMeasure) {
  WeightlessScorer::Options options;
  options.design = "oracle_max";
  options.shape = trainer_->options().shape;
  const auto quality = Evaluate(WeightlessScorer(options, device_.get()));
  ASSERT_TRUE(quality.ok()) << quality.status();
  EXPECT_EQ(quality->loss, 0.0);
  ASSERT_EQ(quality->recall.size(), 3u);
  for (const DensityRecall& recall : quality->recall) {
    EXPECT_EQ(recall.block_recall, 1.0);
    EXPECT_EQ(recall.mass_recall, recall.oracle_mass_recall);
  }
}

// Means of roped queries and keys, over the root of their size.
TEST_P(LayerEvaluationTest, MeanPoolScoresAsItIsDefined) {
  const TaughtSequence& sequence = sequences_[0];  // its last block is ragged
  WeightlessScorer::Options options;
  options.design = "mean_pool";
  options.shape = trainer_->options().shape;
  const WeightlessScorer scorer(options, device_.get());
  auto pass = scorer.Begin({3000});
  ASSERT_TRUE(pass.ok()) << pass.status();
  const at::Tensor host_queries = sequence.pooled_queries.cpu();
  const at::Tensor host_keys = sequence.pooled_keys.cpu();
  const at::Tensor host_target = sequence.target.cpu();
  const auto queries = host_queries.accessor<float, 4>();
  const auto keys = host_keys.accessor<float, 4>();
  const auto target = host_target.accessor<float, 3>();
  const auto mean = [](const at::TensorAccessor<float, 4>& pools, int64_t block,
                       int64_t head, int64_t channel) {
    const double count = std::min<int64_t>(64, 3000 - block * 64);
    return pools[block][head][kPoolRopedSum][channel] / count;
  };
  const int64_t num_tiles = sequence.num_tiles();
  double expected_loss = 0.0;
  double loss_error = 0.0;
  for (const auto& [first, last] : {std::pair<int64_t, int64_t>(0, 30),
                                    std::pair<int64_t, int64_t>(30, 47)}) {
    ASSERT_TRUE((*pass)->AddRange(sequence.Range(first, last)).ok());
    const BlockScores scores = (*pass)->scores();
    const at::Tensor host_scores =
        ViewOf(scores.data, {last - first, 4, scores.row_len}, at::kFloat,
               *device_)
            .cpu();
    const auto got = host_scores.accessor<float, 3>();
    for (int64_t row = 0; row < (last - first) * 4; ++row) {
      const int64_t tile = first + row / 4;
      const int64_t head = row % 4;
      double denominator = 0.0;
      double divergence = 0.0;
      for (int64_t j = 0; j <= tile; ++j) {
        double score = 0.0;
        double size = 0.0;
        for (int64_t c = 0; c < 16; ++c) {
          const double term =
              mean(queries, tile, head, c) * mean(keys, j, head / 2, c) / 4;
          score += term;
          size += std::abs(term);
        }
        // 16 sums, and roundings of means, products and scale.
        ASSERT_NEAR(got[row / 4][head][j], score, 20 * 0x1p-24 * size);
        const double share = target[tile][head][j];
        denominator += std::exp(score);
        divergence += share * (std::log(share) - score);
        loss_error = std::max(loss_error, 20 * 0x1p-24 * size);
      }
      if (tile < num_tiles / 4) continue;
      expected_loss += (divergence + std::log(denominator)) /
                       (4.0 * static_cast<double>(num_tiles - num_tiles / 4));
    }
  }
  ASSERT_TRUE((*pass)->EndSequence().ok());
  EXPECT_TRUE((*pass)->is_complete());
  // Of 47 terms a row in fp32.
  EXPECT_NEAR((*pass)->loss(), expected_loss,
              2 * loss_error + 3 * 47 * 0x1p-24 * std::log(47.0));
}

INSTANTIATE_TEST_SUITE_P(Devices, LayerEvaluationTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
