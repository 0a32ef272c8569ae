#include "engine/llama_engine.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

using LlamaEngineTest = TinyEngineTest;

TEST_F(LlamaEngineTest, EventsComeInOrder) {
  Start();
  const GatheredReply reply = Run(GreedyRequest(700, 5));
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  ASSERT_GE(reply.events.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<AcceptedEvent>(reply.events[0]));
  int64_t processed = 0;
  for (const Event& event : reply.events) {
    if (const auto* progress = std::get_if<PromptProgressEvent>(&event)) {
      EXPECT_EQ(progress->total, 700);
      EXPECT_GT(progress->processed, processed);
      processed = progress->processed;
    } else if (std::holds_alternative<DeltaEvent>(event)) {
      EXPECT_EQ(processed, 700);
    }
  }
  ASSERT_EQ(reply.choices.size(), 1u);
  EXPECT_EQ(reply.choices[0].token_ids.size(), 5u);
  ASSERT_TRUE(reply.choices[0].finish.has_value());
  EXPECT_EQ(reply.choices[0].finish->reason, FinishReason::kLength);
  EXPECT_EQ(reply.summary->prompt_tokens, 700);
  EXPECT_EQ(reply.summary->output_tokens, 5);
  EXPECT_GE(reply.summary->time_to_first_token, reply.summary->prefill_time);
  EXPECT_EQ(reply.summary->sparsity.RealizedSparsity(), 0.0);
  EXPECT_EQ(reply.summary->sparsity.tiles_computed, 11);
  EXPECT_TRUE(PagesAreFree());
  const EngineStats stats = engine_->Stats();
  EXPECT_EQ(stats.prompt_tokens_computed_total, 700);
  EXPECT_EQ(stats.output_tokens_total, 5);
  EXPECT_TRUE(stats.healthy);
}

TEST_F(LlamaEngineTest, TextIsTheTokensText) {
  Start();
  const GatheredReply reply = Run(GreedyRequest(50, 60));
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  const auto text = tokenizer_->Decode(reply.choices[0].token_ids, true);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(reply.choices[0].text, *text);
}

TEST_F(LlamaEngineTest, ScoringAgreesWithGeneration) {
  Start();
  GenerationRequest request = GreedyRequest(100, 30);
  request.sampling.temperature = 1;
  request.sampling.seed = 3;
  request.num_logprobs = 2;
  const GatheredReply made = Run(request);
  ASSERT_TRUE(made.status.ok()) << made.status;
  const GatheredReply::Choice& choice = made.choices[0];
  ASSERT_EQ(choice.logprobs.size(), 30u);

  GenerationRequest score;
  score.prompt = request.prompt;
  score.prompt.insert(score.prompt.end(), choice.token_ids.begin(),
                      choice.token_ids.end());
  score.num_prompt_logprobs = 2;
  const GatheredReply scored = Run(score);
  ASSERT_TRUE(scored.status.ok()) << scored.status;
  ASSERT_EQ(scored.prompt_logprobs.size(), 129u);
  for (size_t i = 0; i < 30; ++i) {
    const LogprobEntry& a = choice.logprobs[i];
    const LogprobEntry& b = scored.prompt_logprobs[99 + i];
    EXPECT_EQ(a.token.id, choice.token_ids[i]);
    EXPECT_EQ(b.token.id, choice.token_ids[i]);
    EXPECT_EQ(a.token.text, tokenizer_->TokenBytes(a.token.id));
    // Computed in other batches: equal but for the rounding of sums.
    EXPECT_NEAR(a.token.logprob, b.token.logprob, 1e-4);
    ASSERT_EQ(a.top.size(), 2u);
    EXPECT_GE(a.top[0].logprob, a.top[1].logprob);
    if (a.rank == 1) {
      EXPECT_EQ(a.top[0].id, a.token.id);
    }
  }
  EXPECT_EQ(scored.summary->output_tokens, 0);
  EXPECT_EQ(scored.choices[0].finish->reason, FinishReason::kLength);
}

TEST_F(LlamaEngineTest, ProbabilitiesSumToOne) {
  Start();
  GenerationRequest request = GreedyRequest(10, 3);
  request.num_logprobs = kTinyLlamaVocabSize;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  for (const LogprobEntry& entry : reply.choices[0].logprobs) {
    double sum = 0;
    for (const TokenLogprob& token : entry.top) sum += std::exp(token.logprob);
    EXPECT_NEAR(sum, 1.0, 1e-5);
  }
}

TEST_F(LlamaEngineTest, SeedsReproduce) {
  Start();
  GenerationRequest request = GreedyRequest(100, 40);
  request.sampling.temperature = 1;
  const GatheredReply drawn = Run(request);
  ASSERT_TRUE(drawn.summary.has_value()) << drawn.status;
  request.sampling.seed = drawn.summary->seed;
  EXPECT_EQ(Run(request).choices[0].token_ids, drawn.choices[0].token_ids);
  request.sampling.seed = drawn.summary->seed + 1;
  EXPECT_NE(Run(request).choices[0].token_ids, drawn.choices[0].token_ids);
}

TEST_F(LlamaEngineTest, ChoicesShareAPromptAndDiffer) {
  Start();
  GenerationRequest request = GreedyRequest(130, 20);
  request.sampling.temperature = 1;
  request.sampling.seed = 11;
  request.num_choices = 3;
  const GatheredReply reply = Run(request);
  ASSERT_TRUE(reply.summary.has_value()) << reply.status;
  ASSERT_EQ(reply.choices.size(), 3u);
  for (const auto& choice : reply.choices) {
    EXPECT_EQ(choice.token_ids.size(), 20u);
    EXPECT_TRUE(choice.finish.has_value());
  }
  EXPECT_NE(reply.choices[0].token_ids, reply.choices[1].token_ids);
  EXPECT_EQ(reply.summary->output_tokens, 60);
  EXPECT_EQ(engine_->Stats().prompt_tokens_computed_total, 130);
  // The first choice is the one that a request for one choice gives.
  request.num_choices = 1;
  EXPECT_EQ(Run(request).choices[0].token_ids, reply.choices[0].token_ids);
  EXPECT_TRUE(PagesAreFree());
}

TEST_F(LlamaEngineTest, StopsWhereAskedTo) {
  Start();
  GenerationRequest request = GreedyRequest(10, 8);
  request.sampling.logit_bias = {{ByteToken('a'), 100.0f}};
  EXPECT_EQ(Run(request).choices[0].text, "aaaaaaaa");
  request.stop_strings = {"aaa"};
  GatheredReply reply = Run(request);
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->stop_string, "aaa");
  request.stop_strings.clear();
  request.stop_ids = {ByteToken('a')};
  reply = Run(request);
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->stop_token, ByteToken('a'));
  request.min_tokens = 3;  // banned until then
  reply = Run(request);
  EXPECT_EQ(reply.choices[0].token_ids.size(), 4u);
  EXPECT_EQ(reply.choices[0].token_ids[3], ByteToken('a'));
  EXPECT_EQ(std::count(reply.choices[0].token_ids.begin(),
                       reply.choices[0].token_ids.end(), ByteToken('a')),
            1);
}

TEST_F(LlamaEngineTest, EndsWithTheModelsEndToken) {
  Start();
  GenerationRequest request = GreedyRequest(10, 8);
  request.sampling.logit_bias = {{kTinyLlamaTurnEnd, 100.0f}};
  EXPECT_EQ(Run(request).choices[0].token_ids.size(), 8u);  // ignored
  request.ignore_eos = false;
  const GatheredReply reply = Run(request);
  EXPECT_EQ(reply.choices[0].token_ids,
            std::vector<TokenId>{kTinyLlamaTurnEnd});
  EXPECT_EQ(reply.choices[0].text, "");
  EXPECT_EQ(reply.choices[0].finish->reason, FinishReason::kEndOfText);
}

}  // namespace
}  // namespace seer
