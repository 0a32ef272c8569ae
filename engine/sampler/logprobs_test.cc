#include "engine/sampler/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "engine/request.h"
#include "engine/token.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

std::vector<float> RandomRow(int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> row(size);
  for (float& logit : row) logit = normal(random);
  return row;
}

// In double, with a full sort.
std::vector<double> ReferenceLogprobs(const std::vector<float>& row) {
  const double max = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float logit : row) sum += std::exp(logit - max);
  std::vector<double> logprobs;
  for (const float logit : row) logprobs.push_back(logit - max - std::log(sum));
  return logprobs;
}

TEST(ScoreToken, EqualsTheReference) {
  for (const int64_t size : {1, 2, 50, 1000, 49152}) {
    const std::vector<float> row = RandomRow(size, size);
    const std::vector<double> reference = ReferenceLogprobs(row);
    std::vector<TokenId> sorted(size);
    std::iota(sorted.begin(), sorted.end(), 0);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](TokenId a, TokenId b) { return row[a] > row[b]; });
    // Errors of the sum's terms are relative, 2^-21 + 2^-22 |exponent|, and
    // e^x |x| < 1: the logarithm of the sum is off by less than this.
    const double bound = 0x1p-21 + 0x1p-22 * 40 + 32 * 0x1p-24;
    for (const int64_t rank : {int64_t{0}, size / 2, size - 1}) {
      const TokenId token = sorted[rank];
      const auto entry = ScoreToken(row, token, 20);
      ASSERT_TRUE(entry.ok());
      EXPECT_EQ(entry->token.id, token);
      EXPECT_TRUE(entry->token.text.empty());
      EXPECT_NEAR(entry->token.logprob, reference[token], bound);
      EXPECT_EQ(entry->rank, rank + 1);
      ASSERT_EQ(entry->top.size(),
                static_cast<size_t>(std::min<int64_t>(size, 20)));
      for (size_t i = 0; i < entry->top.size(); ++i) {
        EXPECT_EQ(entry->top[i].id, sorted[i]);
        EXPECT_NEAR(entry->top[i].logprob, reference[sorted[i]], bound);
      }
    }
  }
}

TEST(ScoreToken, OrdersTiesById) {
  const std::vector<float> row = {1.0f, 2.0f, 2.0f, 1.0f, 2.0f};
  const auto entry = ScoreToken(row, 4, 4);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->rank, 3);
  std::vector<TokenId> ids;
  for (const TokenLogprob& token : entry->top) ids.push_back(token.id);
  EXPECT_EQ(ids, (std::vector<TokenId>{1, 2, 4, 0}));
}

TEST(ScoreToken, GivesNoAlternativesUnlessAsked) {
  const auto entry = ScoreToken(std::vector<float>{0.0f, 0.0f}, 1, 0);
  ASSERT_TRUE(entry.ok());
  EXPECT_TRUE(entry->top.empty());
  EXPECT_EQ(entry->rank, 2);
  EXPECT_NEAR(entry->token.logprob, -std::log(2.0), 0x1p-50);
}

TEST(ScoreToken, StandsExtremeLogits) {
  const float largest = std::numeric_limits<float>::max();
  const auto entry =
      ScoreToken(std::vector<float>{largest, -largest, 0.0f}, 1, 1);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->token.logprob, -2.0 * largest);
  EXPECT_EQ(entry->top[0].id, 0);
  EXPECT_EQ(entry->top[0].logprob, 0.0);
}

TEST(ScoreToken, RefusesBadInput) {
  const std::vector<float> row = {1.0f, 2.0f};
  EXPECT_EQ(ScoreToken(row, -1, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ScoreToken(row, 2, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ScoreToken({}, 0, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (const float bad : {std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(ScoreToken(std::vector<float>{1.0f, bad}, 0, 1).status().code(),
              absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace seer
