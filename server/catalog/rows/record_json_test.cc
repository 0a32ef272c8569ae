#include "server/catalog/rows/record_json.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(RecordJsonTest, SpecComesBackExactly) {
  CalibrationSpec spec;
  spec.model = "m";
  spec.dataset_id = "d";
  spec.display_name = "na\"me \xc3\xa9";
  spec.design = "Qavg_Kmaxminavg";
  spec.target = "mass";
  spec.loss = "kl";
  spec.steps = 500;
  spec.warmup_steps = 20;
  spec.tokens_per_step = 65536;
  spec.sequence_len = 8192;
  spec.learning_rate = 0.1 + 0.2;
  spec.seed = std::numeric_limits<uint64_t>::max();
  spec.device_share = 0.2;
  spec.validation_fraction = 0.1;
  CalibrationSpec back;
  FromJson(ToJson(spec), back);
  EXPECT_EQ(ToJson(back), ToJson(spec));
  EXPECT_EQ(back.display_name, spec.display_name);
  EXPECT_EQ(back.learning_rate, spec.learning_rate);
  EXPECT_EQ(back.seed, spec.seed);
  EXPECT_EQ(back.validation_fraction, spec.validation_fraction);
}

TEST(RecordJsonTest, QualityIsNested) {
  GateQuality quality;
  quality.layers = {
      {0.25, {{0.5, 0.51, 0.99, 0.995, 0.9}, {0.2, 0.22, 0.9, 0.95, 0.7}}},
      {0.5, {}}};
  quality.perplexities = {{0.5, 12.5}};
  quality.dense_perplexity = 12;
  quality.num_tokens = 1 << 20;
  GateQuality back;
  FromJson(ToJson(quality), back);
  EXPECT_EQ(ToJson(back), ToJson(quality));
  ASSERT_THAT(back.layers, SizeIs(2));
  ASSERT_THAT(back.layers[0].recalls, SizeIs(2));
  EXPECT_EQ(back.layers[0].recalls[1].density, 0.2);
  EXPECT_EQ(back.layers[0].recalls[1].realized_density, 0.22);
  EXPECT_EQ(back.layers[0].recalls[1].mass_recall, 0.9);
  EXPECT_EQ(back.layers[0].recalls[1].oracle_mass_recall, 0.95);
  EXPECT_EQ(back.layers[0].recalls[1].block_recall, 0.7);
  EXPECT_EQ(back.perplexities[0].perplexity, 12.5);
}

TEST(RecordJsonTest, LossesThatAreNotFiniteAreNaN) {
  CalibrationProgress progress;
  progress.layer_losses = {1, std::numeric_limits<double>::infinity()};
  CalibrationProgress back;
  FromJson(ToJson(progress), back);
  ASSERT_THAT(back.layer_losses, SizeIs(2));
  EXPECT_EQ(back.layer_losses[0], 1);
  EXPECT_TRUE(std::isnan(back.layer_losses[1]));
}

TEST(RecordJsonTest, OddTextIsTolerated) {
  CalibrationProgress progress;
  progress.step = 7;
  for (const char* text : {"", "[1]", "{\"step\":", "null"}) {
    FromJson(text, progress);
    EXPECT_EQ(progress.step, 7);
  }
  FromJson(R"({"step":"x","steps":9,"later":{},"layer_losses":[2]})", progress);
  EXPECT_EQ(progress.step, 7);
  EXPECT_EQ(progress.steps, 9);
  EXPECT_THAT(progress.layer_losses, ElementsAre(2));
  ProvenanceRecord provenance;
  provenance.tool_version = "\xff";
  EXPECT_THAT(ToJson(provenance), HasSubstr("\xef\xbf\xbd"));
}

}  // namespace
}  // namespace seer
