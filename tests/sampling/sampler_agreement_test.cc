// kernels/sample_tokens defines the same draws as engine/sampler: whichever of
// them a step uses, a request's tokens are the same but where rounding decides.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "engine/request.h"
#include "engine/sampler/sampler.h"
#include "engine/sampler/token_history.h"
#include "engine/sampler/uniform_draw.h"
#include "engine/token.h"
#include "gtest/gtest.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {
namespace {

using Random = std::mt19937;

// What a request asks of one row.
struct Asked {
  std::vector<float> logits;
  SamplingOptions options;
  TokenHistory history;
  std::vector<TokenId> banned;
};

// The draw that is the same for the kernel; its adjustments are all.
TokenDraw DrawOf(const Asked& asked, double uniform,
                 std::vector<TokenAdjustment>* adjustments) {
  std::vector<TokenAdjustment> all(asked.logits.size());
  std::vector<bool> used(all.size());
  for (const auto& [token, bias] : asked.options.logit_bias) {
    all[token].bias += bias;
    used[token] = true;
  }
  for (const auto& [token, count] : asked.history.counts()) {
    all[token].count = count;
    used[token] = true;
  }
  for (const TokenId token : asked.banned) {
    all[token].banned = 1;
    used[token] = true;
  }
  for (size_t token = 0; token < all.size(); ++token) {
    if (!used[token]) continue;
    all[token].token = static_cast<int32_t>(token);
    adjustments->push_back(all[token]);
  }
  TokenDraw draw;
  draw.row = 0;
  draw.top_k = asked.options.top_k;
  draw.temperature = asked.options.temperature;
  draw.top_p = asked.options.top_p;
  draw.min_p = asked.options.min_p;
  draw.repetition_penalty = asked.options.repetition_penalty;
  draw.presence_penalty = asked.options.presence_penalty;
  draw.frequency_penalty = asked.options.frequency_penalty;
  draw.uniform = uniform;
  draw.num_adjustments = static_cast<int32_t>(adjustments->size());
  return draw;
}

int32_t KernelsToken(const Asked& asked, const DrawKey& key) {
  std::vector<TokenAdjustment> adjustments;
  const TokenDraw draw = DrawOf(asked, UniformDraw(key), &adjustments);
  SampleTokensArgs args;
  args.dtype = DType::kFloat32;
  args.num_rows = 1;
  args.vocab_size = static_cast<int32_t>(asked.logits.size());
  args.logits = asked.logits.data();
  args.num_draws = 1;
  args.draws = &draw;
  args.adjustments = adjustments.data();
  args.num_adjustments = adjustments.size();
  int32_t id = -7;
  args.ids = &id;
  const absl::Status status = SampleTokens(Backend::kReference, args, {});
  EXPECT_TRUE(status.ok()) << status;
  return id;
}

int32_t EnginesToken(const Asked& asked, const DrawKey& key) {
  Sampler sampler(static_cast<int32_t>(asked.logits.size()));
  const auto token = sampler.Sample(
      {asked.logits, &asked.options, &asked.history, asked.banned, key});
  return token.value_or(-1);
}

Asked RandomAsked(Random& random) {
  const auto uniform = [&random] {
    return std::uniform_real_distribution<double>(0, 1)(random);
  };
  const int64_t size = 1 + random() % 700;
  Asked asked;
  std::normal_distribution<float> normal(0.0f, 3.0f);
  for (int64_t i = 0; i < size; ++i) {
    // Coarse ones have ties.
    const float logit = normal(random);
    asked.logits.push_back(size % 2 ? logit : std::round(logit));
  }
  SamplingOptions& options = asked.options;
  options.temperature = random() % 8 == 0 ? 0.0 : 0.05 + 1.95 * uniform();
  if (random() % 3 == 0) options.top_k = random() % (size + 5);
  if (random() % 3 == 0) options.top_p = 1e-6 + (1 - 1e-6) * uniform();
  if (random() % 3 == 0) options.min_p = 0.5 * uniform() * uniform();
  if (random() % 2) options.repetition_penalty = 0.5 + 1.5 * uniform();
  if (random() % 2) options.presence_penalty = 4 * uniform() - 2;
  if (random() % 2) options.frequency_penalty = 4 * uniform() - 2;
  for (int i = random() % 4; i > 0; --i) {
    // Exact in fp32 together, so that one sum is as good as two.
    options.logit_bias.emplace_back(random() % size, random() % 10 - 5.0f);
  }
  std::vector<TokenId> prompt(random() % 30);
  for (TokenId& token : prompt) token = random() % size;
  asked.history = TokenHistory(options, prompt);
  for (int i = random() % 30; i > 0; --i) asked.history.Append(random() % size);
  for (int i = random() % 3; i > 0; --i)
    asked.banned.push_back(random() % size);
  return asked;
}

TEST(SamplerAgreement, EqualDrawsForRandomOptions) {
  Random random(61);
  for (int round = 0; round < 3000; ++round) {
    const Asked asked = RandomAsked(random);
    for (int64_t position = 0; position < 10; ++position) {
      const DrawKey key = {static_cast<uint64_t>(round), 1, position};
      EXPECT_EQ(KernelsToken(asked, key), EnginesToken(asked, key))
          << "round " << round << ", position " << position;
    }
  }
}

TEST(SamplerAgreement, EqualDrawsOfExtremeValues) {
  constexpr float kLargest = 3.4e38f;
  for (const double temperature : {0.0, 1e-300, 1e-6, 2.0}) {
    for (const double top_p : {1e-9, 0.5, 1.0}) {
      for (const double repetition : {1e-300, 1.0, 2.0}) {
        Asked asked;
        asked.logits = {kLargest, -kLargest, 0.0f, -0.0f, kLargest};
        asked.options.temperature = temperature;
        asked.options.top_p = top_p;
        asked.options.repetition_penalty = repetition;
        asked.options.logit_bias = {{0, 100.0f}, {1, -100.0f}};
        asked.history =
            TokenHistory(asked.options, std::vector<TokenId>{0, 1, 2});
        for (int64_t position = 0; position < 20; ++position) {
          const DrawKey key = {1, 0, position};
          EXPECT_EQ(KernelsToken(asked, key), EnginesToken(asked, key));
        }
      }
    }
  }
}

TEST(SamplerAgreement, BothRefuseWhatCannotBeDrawn) {
  Asked asked;
  asked.logits = {1.0f, 2.0f};
  asked.banned = {0, 1};
  EXPECT_EQ(EnginesToken(asked, {}), -1);
  EXPECT_EQ(KernelsToken(asked, {}), -1);
  asked.banned = {1};
  asked.logits[1] = NAN;
  EXPECT_EQ(EnginesToken(asked, {}), -1);
  EXPECT_EQ(KernelsToken(asked, {}), -1);
}

}  // namespace
}  // namespace seer
