// Tokens that the device draws, against those that the host draws from logits.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <variant>
#include <vector>

#include "engine/device/cpu_device.h"
#include "engine/model/aten/aten_executor.h"
#include "gtest/gtest.h"
#include "kernels/top_tokens/top_tokens.h"
#include "tests/testing/engine/split_device.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/engine/tiny/tiny_loop.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

// The same model twice: on the CPU, where the host draws, and on one whose
// memory is not the host's, where it does not see logits.
class DeviceDrawsTest : public testing::Test {
 protected:
  void SetUp() override {
    cpu_.Start();
    split_.Start();
  }

  // Greedy.
  static GenerationRequest Request() {
    GenerationRequest request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 12;
    request.sampling.temperature = 0.0;
    return request;
  }

  AtenExecutor executor_{1};
  CpuDevice cpu_device_{&executor_};
  SplitDevice split_device_{&executor_};
  TinyLoop cpu_{&executor_, &cpu_device_};
  TinyLoop split_{&executor_, &split_device_};
};

void ExpectSameEntry(const LogprobEntry& a, const LogprobEntry& b) {
  EXPECT_EQ(a.token.id, b.token.id);
  EXPECT_EQ(a.token.text, b.token.text);
  // The one sums in double what the other sums in fp32.
  EXPECT_NEAR(a.token.logprob, b.token.logprob, 1e-5);
  EXPECT_EQ(a.rank, b.rank);
  ASSERT_EQ(a.top.size(), b.top.size());
  for (size_t i = 0; i < a.top.size(); ++i) {
    EXPECT_EQ(a.top[i].id, b.top[i].id);
    EXPECT_EQ(a.top[i].text, b.top[i].text);
    EXPECT_NEAR(a.top[i].logprob, b.top[i].logprob, 1e-5);
  }
}

void ExpectSame(const GatheredReply& a, const GatheredReply& b) {
  ASSERT_TRUE(a.summary.has_value()) << a.status;
  ASSERT_TRUE(b.summary.has_value()) << b.status;
  ASSERT_EQ(a.choices.size(), b.choices.size());
  for (size_t i = 0; i < a.choices.size(); ++i) {
    EXPECT_EQ(a.choices[i].token_ids, b.choices[i].token_ids) << i;
    EXPECT_EQ(a.choices[i].text, b.choices[i].text) << i;
    ASSERT_EQ(a.choices[i].logprobs.size(), b.choices[i].logprobs.size());
    for (size_t j = 0; j < a.choices[i].logprobs.size(); ++j) {
      ExpectSameEntry(a.choices[i].logprobs[j], b.choices[i].logprobs[j]);
    }
  }
  ASSERT_EQ(a.prompt_logprobs.size(), b.prompt_logprobs.size());
  for (size_t i = 0; i < a.prompt_logprobs.size(); ++i) {
    ExpectSameEntry(a.prompt_logprobs[i], b.prompt_logprobs[i]);
  }
}

TEST_F(DeviceDrawsTest, AreTheHostsUnderEveryOption) {
  using Change = std::function<void(GenerationRequest&)>;
  const std::vector<Change> changes = {
      [](GenerationRequest&) {},
      [](GenerationRequest& r) { r.num_choices = 3; },
      [](GenerationRequest& r) { r.sampling.temperature = 0.7; },
      [](GenerationRequest& r) {
        r.sampling.temperature = 1.3;
        r.num_choices = 3;
      },
      [](GenerationRequest& r) {
        r.sampling.temperature = 1.0;
        r.sampling.top_k = 5;
        r.sampling.top_p = 0.8;
      },
      [](GenerationRequest& r) {
        r.sampling.temperature = 1.0;
        r.sampling.min_p = 0.2;
      },
      [](GenerationRequest& r) {
        r.sampling.logit_bias = {{5, 9.0f}, {7, -3.0f}, {5, 1.0f}};
      },
      [](GenerationRequest& r) { r.sampling.presence_penalty = 1.5; },
      [](GenerationRequest& r) {
        r.sampling.frequency_penalty = 0.5;
        r.sampling.temperature = 0.9;
      },
      [](GenerationRequest& r) { r.sampling.repetition_penalty = 1.7; },
      // Tokens that may not come yet, seen late or not.
      [](GenerationRequest& r) {
        r.min_tokens = 4;
        for (TokenId id = 0; id < kTinyLlamaVocabSize; id += 2) {
          r.stop_ids.push_back(id);
        }
      },
      [](GenerationRequest& r) { r.num_logprobs = 0; },
      [](GenerationRequest& r) {
        r.num_logprobs = 3;
        r.num_choices = 2;
        r.sampling.temperature = 1.0;
      },
      [](GenerationRequest& r) { r.num_prompt_logprobs = 2; },
      [](GenerationRequest& r) {
        r.num_prompt_logprobs = 1;
        r.num_logprobs = 4;
      },
      [](GenerationRequest& r) {
        r.num_prompt_logprobs = 0;
        r.max_tokens = 0;
        r.prompt.assign(1500, 3);  // more than a step
      },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    GenerationRequest request = Request();
    changes[i](request);
    ExpectSame(cpu_.Complete(request), split_.Complete(request));
  }
}

TEST_F(DeviceDrawsTest, DropsTheRowThatFollowedAnEnd) {
  GenerationRequest request = Request();
  request.max_tokens = 20;
  // Until a prompt leads to a token that comes late for the first time.
  std::vector<TokenId> expected;
  int64_t num_tokens = 0;
  for (TokenId seed = 1; expected.empty(); ++seed) {
    ASSERT_LT(seed, 100);
    request.prompt = {seed, seed + 1, 2 * seed};
    const GatheredReply whole = split_.Complete(request);
    ASSERT_TRUE(whole.summary.has_value()) << whole.status;
    const std::vector<TokenId>& tokens = whole.choices[0].token_ids;
    num_tokens += static_cast<int64_t>(tokens.size());
    for (auto it = tokens.begin() + 3; it < tokens.end() - 3; ++it) {
      if (std::find(tokens.begin(), it, *it) != it) continue;
      expected.assign(tokens.begin(), it + 1);
      break;
    }
  }
  request.stop_ids = {expected.back()};
  const int64_t rows_before = num_tokens - num_tokens / 20;
  const GatheredReply stopped = split_.Complete(request);
  ASSERT_TRUE(stopped.summary.has_value()) << stopped.status;
  EXPECT_EQ(stopped.choices[0].token_ids, expected);
  const int64_t num_kept = static_cast<int64_t>(expected.size());
  EXPECT_EQ(stopped.summary->output_tokens, num_kept);
  request.max_tokens = 1;  // no row; and the step before it is through
  EXPECT_TRUE(split_.Complete(request).summary.has_value());
  split_.Stop();
  // The end was seen when the next row was on its way; the length is foreseen.
  EXPECT_EQ(split_.rows().decode_rows, rows_before + num_kept);
  EXPECT_EQ(split_.loop().Stats().output_tokens_total,
            num_tokens + num_kept + 1);
  EXPECT_EQ(split_.loop().Stats().pages_used, 0);
}

TEST_F(DeviceDrawsTest, ChangesBetweenTokensOfTheDeviceAndTheHost) {
  GenerationRequest request = Request();
  request.max_tokens = 30;
  const auto alone = split_.Complete(request);
  // Every now and then another's row must be read by the host.
  GenerationRequest other = request;
  other.max_tokens = 4;
  other.num_logprobs = kMaxTopTokens + 1;  // more than a device finds
  const auto stream = split_.Submit(request);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(split_.Complete(other).summary.has_value());
  }
  other.num_prompt_logprobs = kMaxTopTokens + 1;
  other.prompt.assign(1100, 5);  // two steps of rows that the host scores
  const GatheredReply scored = split_.Complete(other);
  EXPECT_TRUE(scored.summary.has_value()) << scored.status;
  EXPECT_EQ(scored.prompt_logprobs.size(), 1099u);
  const GatheredReply beside = Gather(*stream);
  ASSERT_TRUE(beside.summary.has_value()) << beside.status;
  EXPECT_EQ(beside.choices[0].token_ids, alone.choices[0].token_ids);
}

template <typename T>
size_t PlaceOfFirst(const std::vector<Event>& events) {
  return std::find_if(events.begin(), events.end(),
                      [](const Event& event) {
                        return std::holds_alternative<T>(event);
                      }) -
         events.begin();
}

TEST_F(DeviceDrawsTest, TheFirstDistributionIsOfTheRowThatIsDrawnFrom) {
  GenerationRequest request = Request();
  request.sampling.logit_bias = {{5, 9.0f}};  // no part of it
  request.num_logprobs = kTinyLlamaVocabSize;
  const GatheredReply without = cpu_.Complete(request);
  EXPECT_TRUE(without.first_distribution.empty());
  request.wants_first_distribution = true;
  const GatheredReply with = cpu_.Complete(request);
  ExpectSame(with, without);
  EXPECT_LT(PlaceOfFirst<FirstDistributionEvent>(with.events),
            PlaceOfFirst<DeltaEvent>(with.events));
  const std::vector<float>& logprobs = with.first_distribution;
  ASSERT_EQ(logprobs.size(), size_t{kTinyLlamaVocabSize});
  for (const TokenLogprob& top : with.choices[0].logprobs[0].top) {
    EXPECT_EQ(logprobs[top.id], static_cast<float>(top.logprob)) << top.id;
  }
  // Of a request that draws nothing.
  request.max_tokens = 0;
  request.num_logprobs.reset();
  const GatheredReply scored = cpu_.Complete(request);
  EXPECT_EQ(scored.first_distribution, logprobs);
  ASSERT_TRUE(scored.summary.has_value()) << scored.status;
  EXPECT_EQ(scored.summary->output_tokens, 0);
}

TEST_F(DeviceDrawsTest, TheFirstDistributionComesBesideTheDevicesDraws) {
  GenerationRequest request = Request();
  request.num_logprobs = 0;
  request.num_prompt_logprobs = 1;
  const GatheredReply without = split_.Complete(request);
  GenerationRequest running = Request();
  running.max_tokens = 40;
  const GatheredReply alone = split_.Complete(running);
  // While steps of another run ahead of the host.
  const auto stream = split_.Submit(running);
  request.wants_first_distribution = true;
  const GatheredReply with = split_.Complete(request);
  ExpectSame(with, without);
  const GatheredReply beside = Gather(*stream);
  ASSERT_TRUE(beside.summary.has_value()) << beside.status;
  EXPECT_EQ(beside.choices[0].token_ids, alone.choices[0].token_ids);
  const std::vector<float>& logprobs = with.first_distribution;
  ASSERT_EQ(logprobs.size(), size_t{kTinyLlamaVocabSize});
  const LogprobEntry& first = with.choices[0].logprobs[0];
  // The one sums in double what the other sums in fp32.
  EXPECT_NEAR(logprobs[first.token.id], first.token.logprob, 1e-5);
  EXPECT_EQ(std::max_element(logprobs.begin(), logprobs.end()),
            logprobs.begin() + first.token.id);
}

}  // namespace
}  // namespace seer
