#include "kernels/rope.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Frequencies in double, from the text of sparse-attention's RoPE rules.
std::vector<double> ExactFrequencies(const RopeConfig& config) {
  const int half = config.head_dim / 2;
  const RopeScaling& s = config.scaling;
  const double original = s.original_max_position_embeddings;
  const auto correction = [&](double rotations) {
    return config.head_dim * std::log(original / (rotations * 2 * kPi)) /
           (2 * std::log(config.theta));
  };
  std::vector<double> result(half);
  for (int i = 0; i < half; ++i) {
    const double f = std::pow(config.theta, -2.0 * i / config.head_dim);
    double scaled = f;
    switch (s.type) {
      case RopeScaling::Type::kDefault:
        break;
      case RopeScaling::Type::kLinear:
        scaled = f / s.factor;
        break;
      case RopeScaling::Type::kLlama3: {
        const double turns = original * f / (2 * kPi);
        const double keep = std::min(
            1.0, std::max(0.0, (turns - s.low_freq_factor) /
                                   (s.high_freq_factor - s.low_freq_factor)));
        scaled = keep * f + (1 - keep) * f / s.factor;
        break;
      }
      case RopeScaling::Type::kYarn: {
        const double low = std::max(0.0, std::floor(correction(s.beta_fast)));
        const double high =
            std::min(config.head_dim - 1.0, std::ceil(correction(s.beta_slow)));
        const double ramp =
            std::min(1.0, std::max(0.0, (i - low) / (high - low)));
        scaled = (1 - ramp) * f + ramp * f / s.factor;
        break;
      }
    }
    result[i] = scaled;
  }
  return result;
}

RopeConfig Config(RopeScaling::Type type) {
  RopeConfig config;
  config.theta = 500000.0;
  config.head_dim = 128;
  config.scaling.type = type;
  config.scaling.factor = 8.0;
  config.scaling.original_max_position_embeddings = 8192;
  return config;
}

class RopeScalingTest : public testing::TestWithParam<RopeScaling::Type> {};

TEST_P(RopeScalingTest, FrequenciesFollowTheirDefinition) {
  for (const int head_dim : {32, 64, 80, 128}) {
    for (const double theta : {10000.0, 500000.0}) {
      RopeConfig config = Config(GetParam());
      config.head_dim = head_dim;
      config.theta = theta;
      const auto frequencies = MakeRopeFrequencies(config);
      ASSERT_TRUE(frequencies.ok()) << frequencies.status();
      const std::vector<double> exact = ExactFrequencies(config);
      ASSERT_EQ(frequencies->inverse_frequencies.size(), exact.size());
      for (size_t i = 0; i < exact.size(); ++i) {
        // The exponent's rounding is magnified by ln(theta) < 14; a few more
        // operations follow.
        const double rounding =
            (std::log(theta) + 6) * std::numeric_limits<float>::epsilon();
        // Interpolation subtracts near-equal numbers: its error is relative to
        // the unscaled frequency.
        const double scale =
            GetParam() == RopeScaling::Type::kDefault ||
                    GetParam() == RopeScaling::Type::kLinear
                ? exact[i]
                : std::pow(theta, -2.0 * static_cast<double>(i) / head_dim);
        EXPECT_NEAR(frequencies->inverse_frequencies[i], exact[i],
                    rounding * scale)
            << "pair " << i << " D " << head_dim;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RopeScalingTest,
                         testing::Values(RopeScaling::Type::kDefault,
                                         RopeScaling::Type::kLinear,
                                         RopeScaling::Type::kLlama3,
                                         RopeScaling::Type::kYarn));

TEST(RopeTest, OnlyYarnScalesCosAndSin) {
  for (const auto type :
       {RopeScaling::Type::kDefault, RopeScaling::Type::kLinear,
        RopeScaling::Type::kLlama3}) {
    EXPECT_EQ(MakeRopeFrequencies(Config(type))->attention_factor, 1.0f);
  }
  RopeConfig yarn = Config(RopeScaling::Type::kYarn);
  EXPECT_EQ(MakeRopeFrequencies(yarn)->attention_factor,
            static_cast<float>(0.1 * std::log(8.0) + 1.0));
  yarn.scaling.attention_factor = 1.25;
  EXPECT_EQ(MakeRopeFrequencies(yarn)->attention_factor, 1.25f);
}

TEST(RopeTest, ScalingByOneChangesNothing) {
  RopeConfig config = Config(RopeScaling::Type::kDefault);
  const auto plain = MakeRopeFrequencies(config)->inverse_frequencies;
  config = Config(RopeScaling::Type::kLinear);
  config.scaling.factor = 1.0;
  EXPECT_EQ(MakeRopeFrequencies(config)->inverse_frequencies, plain);
}

TEST(RopeTest, TableHoldsCosAndSinOfEveryPosition) {
  RopeConfig config = Config(RopeScaling::Type::kYarn);
  config.head_dim = 4;
  const RopeFrequencies f = *MakeRopeFrequencies(config);
  constexpr int kPositions = 70;
  std::vector<float> cos(kPositions * 2), sin(kPositions * 2);
  FillRopeTable(f, kPositions, cos.data(), sin.data());
  for (int p = 0; p < kPositions; ++p) {
    for (int i = 0; i < 2; ++i) {
      const float angle = static_cast<float>(p) * f.inverse_frequencies[i];
      EXPECT_FLOAT_EQ(cos[p * 2 + i], std::cos(angle) * f.attention_factor);
      EXPECT_FLOAT_EQ(sin[p * 2 + i], std::sin(angle) * f.attention_factor);
    }
  }
}

TEST(RopeTest, RefusesParametersOutOfRange) {
  const double nan = std::nan("");
  const auto refuses = [](const RopeConfig& config) {
    return MakeRopeFrequencies(config).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  for (const int head_dim : {0, -2, 63}) {
    RopeConfig config = Config(RopeScaling::Type::kDefault);
    config.head_dim = head_dim;
    EXPECT_TRUE(refuses(config)) << head_dim;
  }
  for (const double theta : {1.0, 0.0, -1.0, nan}) {
    RopeConfig config = Config(RopeScaling::Type::kDefault);
    config.theta = theta;
    EXPECT_TRUE(refuses(config)) << theta;
  }
  for (const auto type :
       {RopeScaling::Type::kLinear, RopeScaling::Type::kLlama3,
        RopeScaling::Type::kYarn}) {
    for (const double factor : {0.5, 0.0, nan}) {
      RopeConfig config = Config(type);
      config.scaling.factor = factor;
      EXPECT_TRUE(refuses(config)) << factor;
    }
  }
  for (const auto type :
       {RopeScaling::Type::kLlama3, RopeScaling::Type::kYarn}) {
    RopeConfig config = Config(type);
    config.scaling.original_max_position_embeddings = 0;
    EXPECT_TRUE(refuses(config));
  }
  RopeConfig llama3 = Config(RopeScaling::Type::kLlama3);
  llama3.scaling.high_freq_factor = llama3.scaling.low_freq_factor;
  EXPECT_TRUE(refuses(llama3));
  RopeConfig yarn = Config(RopeScaling::Type::kYarn);
  yarn.scaling.beta_slow = 64;
  EXPECT_TRUE(refuses(yarn));
  yarn = Config(RopeScaling::Type::kYarn);
  yarn.scaling.attention_factor = -1;
  EXPECT_TRUE(refuses(yarn));
}

}  // namespace
}  // namespace seer
