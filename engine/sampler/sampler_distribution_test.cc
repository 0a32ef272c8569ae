// Draws follow the distribution they are from, and those of different keys have
// nothing to do with each other. Seeds are fixed, so a result is the same each
// time; the limits are those that a right sampler passes 9,999 times of 10,000.
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/request.h"
#include "engine/sampler/sampler.h"
#include "engine/token.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int64_t kDraws = 200000;

// Of Pearson's statistic, by Wilson and Hilferty's cube (1931).
double Limit(int64_t degrees) {
  constexpr double kNormalQuantile = 3.719;  // of 0.9999
  const double v = 2.0 / (9.0 * static_cast<double>(degrees));
  return static_cast<double>(degrees) *
         std::pow(1.0 - v + kNormalQuantile * std::sqrt(v), 3);
}

// Bins that expect fewer than 5 draws must be merged by the caller.
double ChiSquare(const std::vector<int64_t>& counts,
                 const std::vector<double>& probabilities) {
  int64_t draws = 0;
  for (const int64_t count : counts) draws += count;
  double sum = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * static_cast<double>(draws);
    if (expected == 0.0) {
      EXPECT_EQ(counts[i], 0) << "token " << i;
      continue;
    }
    EXPECT_GE(expected, 5.0) << "token " << i;
    sum += (static_cast<double>(counts[i]) - expected) *
           (static_cast<double>(counts[i]) - expected) / expected;
  }
  return sum;
}

std::vector<int64_t> Counts(const std::vector<float>& logits,
                            const SamplingOptions& options, uint64_t seed) {
  Sampler sampler(logits.size());
  std::vector<int64_t> counts(logits.size(), 0);
  for (int64_t i = 0; i < kDraws; ++i) {
    ++counts[*sampler.Sample({logits, &options, nullptr, {}, {seed, 0, i}})];
  }
  return counts;
}

std::vector<double> Softmax(const std::vector<float>& logits,
                            double temperature) {
  std::vector<double> p;
  double sum = 0.0;
  for (const float logit : logits) {
    p.push_back(std::exp(logit / temperature));
    sum += p.back();
  }
  for (double& probability : p) probability /= sum;
  return p;
}

std::vector<float> Slope(int64_t size, float span) {
  std::vector<float> logits(size);
  for (int64_t i = 0; i < size; ++i) {
    // A permutation, so that order of id is not order of probability.
    logits[i] = span * static_cast<float>(i * 7 % size) / size;
  }
  return logits;
}

TEST(SamplerDistribution, FollowsTheSoftmaxAtEachTemperature) {
  const std::vector<float> logits = Slope(40, 5.0f);
  for (const double temperature : {0.6, 1.0, 2.0}) {
    SamplingOptions options;
    options.temperature = temperature;
    EXPECT_LT(
        ChiSquare(Counts(logits, options, 1), Softmax(logits, temperature)),
        Limit(39))
        << temperature;
  }
}

// More than one group of weights, the last a ragged one.
TEST(SamplerDistribution, FollowsTheSoftmaxOverALargeVocabulary) {
  const std::vector<float> logits = Slope(1001, 2.0f);
  EXPECT_LT(ChiSquare(Counts(logits, {}, 2), Softmax(logits, 1.0)),
            Limit(1000));
}

TEST(SamplerDistribution, RenormalisesWhatIsKept) {
  const std::vector<float> logits = Slope(40, 5.0f);
  SamplingOptions options;
  options.top_k = 10;
  std::vector<double> p = Softmax(logits, 1.0);
  double kept = 0.0;
  for (int64_t i = 0; i < 40; ++i) {
    if (i * 7 % 40 < 30) p[i] = 0.0;  // the 30 least likely
    kept += p[i];
  }
  for (double& probability : p) probability /= kept;
  EXPECT_LT(ChiSquare(Counts(logits, options, 3), p), Limit(9));
}

// Pairs of draws fill the square evenly: neighbours in position, in choice and
// in seed.
TEST(SamplerDistribution, DrawsOfDifferentKeysAreIndependent) {
  constexpr int64_t kTokens = 12;
  const std::vector<float> logits(kTokens, 0.0f);
  const SamplingOptions options;
  Sampler sampler(kTokens);
  const auto draw = [&](uint64_t seed, int32_t choice, int64_t position) {
    return *sampler.Sample(
        {logits, &options, nullptr, {}, {seed, choice, position}});
  };
  std::vector<int64_t> by_position(kTokens * kTokens, 0);
  std::vector<int64_t> by_choice(kTokens * kTokens, 0);
  std::vector<int64_t> by_seed(kTokens * kTokens, 0);
  for (int64_t i = 0; i < kDraws / 4; ++i) {
    ++by_position[draw(9, 0, 2 * i) * kTokens + draw(9, 0, 2 * i + 1)];
    ++by_choice[draw(9, 1, i) * kTokens + draw(9, 2, i)];
    ++by_seed[draw(i, 3, 5) * kTokens + draw(i + 1000000, 3, 5)];
  }
  const std::vector<double> even(kTokens * kTokens, 1.0 / (kTokens * kTokens));
  const double limit = Limit(kTokens * kTokens - 1);
  EXPECT_LT(ChiSquare(by_position, even), limit);
  EXPECT_LT(ChiSquare(by_choice, even), limit);
  EXPECT_LT(ChiSquare(by_seed, even), limit);
}

}  // namespace
}  // namespace seer
