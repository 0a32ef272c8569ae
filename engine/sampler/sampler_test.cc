#include "engine/sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/request.h"
#include "engine/sampler/token_history.h"
#include "engine/sampler/uniform_draw.h"
#include "engine/token.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What the options say, word for word, in double and with a full sort.
struct Reference {
  std::vector<std::pair<TokenId, double>> kept;  // and probabilities, in the
                                                 // order that is drawn from

  TokenId Draw(double uniform) const {
    double sum = 0.0;
    for (const auto& [token, probability] : kept) {
      sum += probability;
      if (uniform < sum) return token;
    }
    return kept.back().first;
  }
};

std::vector<double> ReferenceLogits(const std::vector<float>& logits,
                                    const SamplingOptions& options,
                                    const std::vector<TokenId>& prompt,
                                    const std::vector<TokenId>& output) {
  std::vector<double> row(logits.begin(), logits.end());
  for (const auto& [token, bias] : options.logit_bias) row[token] += bias;
  std::set<TokenId> seen(prompt.begin(), prompt.end());
  seen.insert(output.begin(), output.end());
  for (const TokenId token : seen) {
    if (row[token] > 0) {
      row[token] /= options.repetition_penalty;
    } else {
      row[token] *= options.repetition_penalty;
    }
  }
  std::map<TokenId, int> counts;
  for (const TokenId token : output) ++counts[token];
  for (const auto& [token, count] : counts) {
    row[token] -= options.presence_penalty;
    row[token] -= options.frequency_penalty * count;
  }
  return row;
}

Reference ReferenceSample(const std::vector<double>& logits,
                          const SamplingOptions& options) {
  const int64_t size = logits.size();
  std::vector<TokenId> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> p(size);
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (int64_t i = 0; i < size; ++i) {
    p[i] = std::exp((logits[i] - max) / options.temperature);
    sum += p[i];
  }
  const bool filters = (options.top_k > 0 && options.top_k < size) ||
                       options.top_p < 1.0 || options.min_p > 0.0;
  size_t keep = size;
  if (filters) {
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      return logits[a] > logits[b];
    });
    if (options.top_k > 0) keep = std::min<size_t>(keep, options.top_k);
    if (options.top_p < 1.0) {
      double kept = 0.0;
      for (size_t i = 0; i < keep; ++i) kept += p[order[i]];
      double reached = 0.0;
      size_t needed = 0;
      while (needed < keep && reached < options.top_p * kept) {
        reached += p[order[needed++]];
      }
      keep = std::max<size_t>(needed, 1);
    }
    size_t likely = 0;
    while (likely < keep && p[order[likely]] >= options.min_p * p[order[0]]) {
      ++likely;
    }
    keep = likely;
  }
  sum = 0.0;
  for (size_t i = 0; i < keep; ++i) sum += p[order[i]];
  Reference reference;
  for (size_t i = 0; i < keep; ++i) {
    reference.kept.emplace_back(order[i], p[order[i]] / sum);
  }
  return reference;
}

std::vector<float> RandomRow(int64_t size, std::mt19937& random,
                             float deviation = 3.0f) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> row(size);
  for (float& logit : row) logit = normal(random);
  return row;
}

TokenId Draw(Sampler& sampler, const std::vector<float>& logits,
             const SamplingOptions& options, const DrawKey& key,
             const TokenHistory* history = nullptr) {
  const auto token = sampler.Sample({logits, &options, history, {}, key});
  EXPECT_TRUE(token.ok()) << token.status();
  return token.value_or(-1);
}

// The tokens that 4000 draws give.
std::set<TokenId> Support(const std::vector<float>& logits,
                          const SamplingOptions& options) {
  Sampler sampler(logits.size());
  std::set<TokenId> support;
  for (int64_t i = 0; i < 4000; ++i) {
    support.insert(Draw(sampler, logits, options, {1, 0, i}));
  }
  return support;
}

using Ids = std::set<TokenId>;

TEST(Sampler, GreedyTakesTheHighestAndTheLowerIdOfTies) {
  SamplingOptions options;
  options.temperature = 0.0;
  options.top_k = 1;  // unread
  Sampler sampler(5);
  EXPECT_EQ(Draw(sampler, {0, 3, -1, 3, 2}, options, {}), 1);
  EXPECT_EQ(Draw(sampler, {0, 0, 0, 0, 0}, options, {}), 0);
  EXPECT_EQ(Draw(sampler, {-9, -8, -7, -6, -5}, options, {}), 4);
  Sampler single(1);
  EXPECT_EQ(Draw(single, {-3e38f}, options, {}), 0);
}

TEST(Sampler, EqualsTheReferenceForRandomOptions) {
  std::mt19937 random(99);
  const auto uniform = [&] {
    return std::uniform_real_distribution<double>(0, 1)(random);
  };
  for (int round = 0; round < 3000; ++round) {
    const int64_t size = 1 + random() % 700;
    const std::vector<float> logits = RandomRow(size, random);
    SamplingOptions options;
    options.temperature = 0.05 + 1.95 * uniform();
    if (random() % 2) options.top_k = random() % (size + 5);
    if (random() % 2) options.top_p = 1e-6 + (1 - 1e-6) * uniform();
    if (random() % 3 == 0) options.min_p = 0.5 * uniform() * uniform();
    if (random() % 2) options.repetition_penalty = 0.5 + 1.5 * uniform();
    if (random() % 2) options.presence_penalty = 4 * uniform() - 2;
    if (random() % 2) options.frequency_penalty = 4 * uniform() - 2;
    for (int i = random() % 4; i > 0; --i) {
      options.logit_bias.emplace_back(random() % size,
                                      static_cast<float>(10 * uniform() - 5));
    }
    std::vector<TokenId> prompt(random() % 30);
    for (TokenId& token : prompt) token = random() % size;
    std::vector<TokenId> output(random() % 30);
    for (TokenId& token : output) token = random() % size;
    TokenHistory history(options, prompt);
    for (const TokenId token : output) history.Append(token);

    const std::vector<double> adjusted =
        ReferenceLogits(logits, options, prompt, output);
    const Reference reference = ReferenceSample(adjusted, options);
    Sampler sampler(size);
    for (int64_t position = 0; position < 10; ++position) {
      const DrawKey key = {static_cast<uint64_t>(round), 1, position};
      EXPECT_EQ(Draw(sampler, logits, options, key, &history),
                reference.Draw(UniformDraw(key)))
          << "round " << round;
    }
    options.temperature = 0.0;
    EXPECT_EQ(
        Draw(sampler, logits, options, {}, &history),
        std::max_element(adjusted.begin(), adjusted.end()) - adjusted.begin());
  }
}

TEST(Sampler, TopPReachesFarIntoFlatDistributions) {
  std::mt19937 random(5);
  const std::vector<float> logits = RandomRow(20000, random, 0.5f);
  for (const double top_p : {0.001, 0.3, 0.9, 0.9999}) {
    SamplingOptions options;
    options.top_p = top_p;
    const Reference reference =
        ReferenceSample({logits.begin(), logits.end()}, options);
    Sampler sampler(logits.size());
    for (int64_t position = 0; position < 50; ++position) {
      const DrawKey key = {3, 0, position};
      EXPECT_EQ(Draw(sampler, logits, options, key),
                reference.Draw(UniformDraw(key)));
    }
  }
}

TEST(Sampler, TopKKeepsKAndTheLowerIdsOfTies) {
  const std::vector<float> logits = {1, 2, 2, 2, 0};
  SamplingOptions options;
  options.top_k = 1;
  EXPECT_EQ(Support(logits, options), (Ids{1}));
  options.top_k = 2;
  EXPECT_EQ(Support(logits, options), (Ids{1, 2}));
  options.top_k = 4;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2, 3}));
  options.top_k = 100;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2, 3, 4}));
}

TEST(Sampler, TopPKeepsTheShortestBeginning) {
  // 0.5, 0.25, 0.125, 0.125: exact in binary.
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {-2 * ln2, -ln2, -3 * ln2, -3 * ln2};
  SamplingOptions options;
  options.top_p = 1e-9;
  EXPECT_EQ(Support(logits, options), (Ids{1}));
  options.top_p = 0.49;
  EXPECT_EQ(Support(logits, options), (Ids{1}));
  options.top_p = 0.51;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1}));
  options.top_p = 0.8;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2}));
  options.top_p = 1.0;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2, 3}));
  // Of the two that top_k keeps, the first has two thirds.
  options.top_k = 2;
  options.top_p = 0.66;
  EXPECT_EQ(Support(logits, options), (Ids{1}));
  options.top_p = 0.67;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1}));
}

TEST(Sampler, MinPIsAShareOfTheFirst) {
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, -ln2, -2 * ln2, -3 * ln2};
  SamplingOptions options;
  options.min_p = 0.3;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1}));
  options.min_p = 0.2;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2}));
  options.min_p = 0.999;
  EXPECT_EQ(Support(logits, options), (Ids{0}));
  // After temperature: the ratio 1/8 becomes its square root.
  options.temperature = 2.0;
  options.min_p = 0.3;
  EXPECT_EQ(Support(logits, options), (Ids{0, 1, 2, 3}));
}

TEST(Sampler, PenaltiesReadWhatTheyAreFor) {
  Sampler sampler(3);
  SamplingOptions options;
  options.temperature = 0.0;
  const std::vector<float> logits = {2.0f, 1.5f, -1.0f};
  const auto greedy = [&](std::vector<TokenId> prompt,
                          std::vector<TokenId> output) {
    TokenHistory history(options, prompt);
    for (const TokenId token : output) history.Append(token);
    return Draw(sampler, logits, options, {}, &history);
  };
  EXPECT_EQ(greedy({0}, {0}), 0);
  options.repetition_penalty = 1.5;
  EXPECT_EQ(greedy({}, {}), 0);
  EXPECT_EQ(greedy({0}, {}), 1);
  EXPECT_EQ(greedy({}, {0}), 1);
  EXPECT_EQ(greedy({0, 1}, {}), 0);
  options = SamplingOptions();
  options.temperature = 0.0;
  options.presence_penalty = 0.6;
  EXPECT_EQ(greedy({0}, {}), 0);  // output only
  EXPECT_EQ(greedy({}, {0}), 1);
  EXPECT_EQ(greedy({}, {0, 1, 0, 0}), 0);  // once, however often
  options.presence_penalty = 0.0;
  options.frequency_penalty = 0.3;
  EXPECT_EQ(greedy({0, 0}, {0}), 0);
  EXPECT_EQ(greedy({}, {0, 0}), 1);
  EXPECT_EQ(greedy({}, {0, 0, 1}), 0);
  options.frequency_penalty = -1.0;
  EXPECT_EQ(greedy({}, {2, 2, 2, 2}), 2);
}

TEST(Sampler, BiasIsAddedBeforePenalties) {
  Sampler sampler(2);
  SamplingOptions options;
  options.temperature = 0.0;
  options.logit_bias = {{0, 2.0f}, {0, 2.0f}};
  options.repetition_penalty = 2.0;
  TokenHistory history(options, std::vector<TokenId>{0});
  // (-1 + 4) / 2 = 1.5; the other way round it would be -2 + 4 = 2.
  EXPECT_EQ(Draw(sampler, {-1.0f, 1.7f}, options, {}, &history), 1);
  EXPECT_EQ(Draw(sampler, {-1.0f, 1.3f}, options, {}, &history), 0);
  options.logit_bias = {{1, -100.0f}};
  options.temperature = 1.0;
  EXPECT_EQ(Support({0.0f, 5.0f}, options), (Ids{0}));
}

TEST(Sampler, NeverDrawsWhatIsBanned) {
  const std::vector<float> logits = {9.0f, 1.0f, 8.0f, 1.0f};
  const std::vector<TokenId> banned = {0, 2};
  Sampler sampler(4);
  for (const double temperature : {0.0, 1.0, 2.0}) {
    for (const int32_t top_k : {0, 3}) {
      for (const double top_p : {1.0, 0.7}) {
        SamplingOptions options;
        options.temperature = temperature;
        options.top_k = top_k;
        options.top_p = top_p;
        for (int64_t i = 0; i < 300; ++i) {
          const auto token =
              sampler.Sample({logits, &options, nullptr, banned, {1, 0, i}});
          ASSERT_TRUE(token.ok());
          EXPECT_EQ(*token % 2, 1);
        }
      }
    }
  }
  const SamplingOptions options;
  const std::vector<TokenId> all = {0, 1, 2, 3};
  EXPECT_EQ(
      sampler.Sample({logits, &options, nullptr, all, {}}).status().code(),
      absl::StatusCode::kInternal);
}

TEST(Sampler, RefusesLogitsThatAreNotNumbers) {
  Sampler sampler(40);
  for (const double temperature : {0.0, 1.0}) {
    for (const float bad :
         {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      for (const int at : {0, 20, 39}) {
        std::vector<float> logits(40, 1.0f);
        logits[at] = bad;
        SamplingOptions options;
        options.temperature = temperature;
        EXPECT_EQ(
            sampler.Sample({logits, &options, nullptr, {}, {}}).status().code(),
            absl::StatusCode::kInternal);
      }
    }
  }
  const SamplingOptions options;
  for (const size_t size : {0, 39, 41}) {
    const std::vector<float> logits(size, 1.0f);
    EXPECT_EQ(
        sampler.Sample({logits, &options, nullptr, {}, {}}).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
}

TEST(Sampler, StandsExtremeValues) {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> logits = {largest, -largest, 0.0f, largest};
  for (const double temperature :
       {std::numeric_limits<double>::denorm_min(), 1e-300, 1e-6, 2.0}) {
    for (const double repetition : {1e-300, 1.0, 2.0}) {
      for (const double top_p : {1.0, 0.5}) {
        SamplingOptions options;
        options.temperature = temperature;
        options.repetition_penalty = repetition;
        options.top_p = top_p;
        options.logit_bias = {{0, 100.0f}, {1, -100.0f}};
        const TokenHistory history(options, std::vector<TokenId>{0, 1, 2});
        Sampler sampler(4);
        for (int64_t i = 0; i < 20; ++i) {
          const TokenId token =
              Draw(sampler, logits, options, {1, 0, i}, &history);
          EXPECT_TRUE(token == 0 || token == 3) << token;
        }
      }
    }
  }
}

TEST(Sampler, ALowTemperatureIsGreedy) {
  SamplingOptions options;
  options.temperature = 1e-12;
  EXPECT_EQ(Support({1.0f, 1.0001f, 0.5f}, options), (Ids{1}));
  EXPECT_EQ(Support({1.0f, 1.0f, 0.5f}, options), (Ids{0, 1}));
}

// What one request draws has nothing to do with what else is drawn.
TEST(Sampler, DependsOnItsArgumentsOnly) {
  std::mt19937 random(3);
  const std::vector<float> logits = RandomRow(1000, random);
  const std::vector<float> other = RandomRow(1000, random);
  SamplingOptions plain;
  SamplingOptions filtered;
  filtered.top_p = 0.9;
  filtered.repetition_penalty = 1.3;
  const TokenHistory history(filtered, std::vector<TokenId>{1, 2, 3});
  Sampler busy(1000);
  for (int64_t i = 0; i < 200; ++i) {
    for (const SamplingOptions* options : {&plain, &filtered}) {
      Sampler fresh(1000);
      const DrawKey key = {77, 2, i};
      const TokenId expected = Draw(fresh, logits, *options, key, &history);
      Draw(busy, other, filtered, {5, 0, i}, &history);
      EXPECT_EQ(Draw(busy, logits, *options, key, &history), expected);
    }
  }
}

TEST(TokenHistory, RemembersOnlyWhatPenaltiesRead) {
  const std::vector<TokenId> prompt = {4, 4, 5};
  SamplingOptions options;
  TokenHistory none(options, prompt);
  none.Append(1);
  EXPECT_TRUE(none.counts().empty());
  options.presence_penalty = 1.0;
  TokenHistory output(options, prompt);
  output.Append(1);
  output.Append(1);
  EXPECT_EQ(output.counts().size(), 1u);
  EXPECT_EQ(output.counts().at(1), 2);
  options.repetition_penalty = 1.1;
  TokenHistory both(options, prompt);
  TokenHistory copy = both;
  copy.Append(4);
  EXPECT_EQ(both.counts().at(4), 0);
  EXPECT_EQ(copy.counts().at(4), 1);
  EXPECT_EQ(copy.counts().at(5), 0);
}

}  // namespace
}  // namespace seer
