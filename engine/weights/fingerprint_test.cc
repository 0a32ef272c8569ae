#include "engine/weights/fingerprint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "engine/weights/weight_values.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"
#include "nlohmann/json.hpp"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

std::string FingerprintOf(const std::string& folder) {
  const auto config = LoadModelConfig(folder);
  EXPECT_TRUE(config.ok()) << config.status();
  const auto weights = WeightFiles::Open(folder, *config);
  EXPECT_TRUE(weights.ok()) << weights.status();
  return Fingerprint(*config, **weights);
}

TEST(FingerprintTest, DefaultModelHasTheGoldenOne) {
  std::ifstream file("tests/golden/smollm2_135m_instruct.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const std::string folder = "external/default_model/model";
  const auto config = LoadModelConfig(folder);
  ASSERT_TRUE(config.ok()) << config.status();
  std::string lines;
  for (const auto& line : golden["fingerprint_config_lines"]) {
    absl::StrAppend(&lines, line.get<std::string>(), "\n");
  }
  EXPECT_EQ(FingerprintConfigLines(*config), lines);
  EXPECT_EQ(FingerprintOf(folder), golden["fingerprint"].get<std::string>());
}

std::string MakeTinyLlama(const TinyLlamaOptions& options) {
  static int counter = 0;
  const std::string folder = absl::StrCat(testing::TempDir(), "/fingerprint",
                                          getpid(), "_", counter++);
  mkdir(folder.c_str(), 0700);
  EXPECT_TRUE(WriteTinyLlama(folder, options).ok());
  return folder;
}

TEST(FingerprintTest, DependsOnValuesAndConfig) {
  const std::string first = FingerprintOf(MakeTinyLlama({}));
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(FingerprintOf(MakeTinyLlama({})), first);
  TinyLlamaOptions other_seed;
  other_seed.seed = 2;
  EXPECT_NE(FingerprintOf(MakeTinyLlama(other_seed)), first);
  TinyLlamaOptions other_theta;
  other_theta.rope_theta = 20000.0;
  EXPECT_NE(FingerprintOf(MakeTinyLlama(other_theta)), first);
}

std::string ScalingLineOf(const RopeScaling& scaling) {
  ModelConfig config;
  config.rope.scaling = scaling;
  const std::string lines = FingerprintConfigLines(config);
  const size_t begin = lines.find("rope_scaling=");
  return lines.substr(begin, lines.find('\n', begin) - begin);
}

TEST(FingerprintTest, ScalingFieldsGoByName) {
  RopeScaling scaling;
  EXPECT_EQ(ScalingLineOf(scaling), "rope_scaling=none");
  scaling.type = RopeScaling::Type::kLinear;
  scaling.factor = 2.5;
  EXPECT_EQ(ScalingLineOf(scaling), "rope_scaling=linear,factor:2.5");
  scaling.type = RopeScaling::Type::kLlama3;
  scaling.original_max_position_embeddings = 8192;
  EXPECT_EQ(ScalingLineOf(scaling),
            "rope_scaling=llama3,factor:2.5,high_freq_factor:4,"
            "low_freq_factor:1,original_max_position_embeddings:8192");
  scaling.type = RopeScaling::Type::kYarn;
  scaling.factor = std::exp(1.0);
  EXPECT_EQ(ScalingLineOf(scaling),
            "rope_scaling=yarn,attention_factor:1.1,beta_fast:32,beta_slow:1,"
            "factor:2.71828,original_max_position_embeddings:8192");
}

template <typename Bits>
uint16_t AsBFloat16(WeightDType dtype, Bits bits) {
  // One byte off, as tensors may lie in a file.
  char bytes[sizeof(Bits) + 1];
  std::memcpy(bytes + 1, &bits, sizeof(Bits));
  Weight weight;
  weight.dtype = dtype;
  weight.values = bytes + 1;
  weight.num_values = 1;
  BFloat16 value;
  ReadBFloat16(weight, 0, absl::MakeSpan(&value, 1));
  return value.bits;
}

TEST(ReadBFloat16Test, RoundsWiderTypesToNearestEven) {
  constexpr auto kF32 = WeightDType::kFloat32;
  EXPECT_EQ(AsBFloat16<uint32_t>(kF32, 0x3F808000u), 0x3F80);  // tie to even
  EXPECT_EQ(AsBFloat16<uint32_t>(kF32, 0x3F818000u), 0x3F82);  // tie to even
  EXPECT_EQ(AsBFloat16<uint32_t>(kF32, 0x3F808001u), 0x3F81);
  EXPECT_EQ(AsBFloat16<uint32_t>(kF32, 0xBF80FFFFu), 0xBF81);
  constexpr auto kF16 = WeightDType::kFloat16;
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0x3C00), 0x3F80);  // 1
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0xC000), 0xC000);  // -2
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0x3C04), 0x3F80);  // 1 + 2^-8: tie
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0x3C0C), 0x3F82);  // tie, up
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0x0001), 0x3380);  // 2^-24
  EXPECT_EQ(AsBFloat16<uint16_t>(kF16, 0x8000), 0x8000);  // -0
  EXPECT_EQ(AsBFloat16<uint16_t>(WeightDType::kBFloat16, 0x1234), 0x1234);
}

}  // namespace
}  // namespace seer
