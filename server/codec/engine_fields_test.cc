// Every field that the real engine names is a field of the wire's request.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/errors.h"
#include "gtest/gtest.h"
#include "server/codec/request_codec.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

struct Case {
  const char* engine_field;
  const char* wire_field;
  std::function<void(GenerationRequest&)> spoil;
};

// A request under a policy of this kind, spoiled further.
std::function<void(GenerationRequest&)> Policy(
    BudgetKind kind, std::function<void(SparsityPolicy&)> spoil) {
  return [kind, spoil](GenerationRequest& request) {
    request.policy = MeanPoolPolicy(kind);
    spoil(*request.policy);
  };
}

std::vector<Case> PolicyCases() {
  using P = SparsityPolicy;
  return {
      {"policy.budget.target_sparsity", "sparsity.target_sparsity",
       Policy(BudgetKind::kTargetSparsity,
              [](P& p) { p.budget.target_sparsity = std::nan(""); })},
      {"policy.budget.top_k_blocks", "sparsity.top_k_blocks",
       Policy(BudgetKind::kTopKBlocks,
              [](P& p) { p.budget.top_k_blocks = 0; })},
      {"policy.budget.token_budget", "sparsity.token_budget",
       Policy(BudgetKind::kTokenBudget,
              [](P& p) { p.budget.token_budget = 63; })},
      {"policy.budget.threshold", "sparsity.threshold",
       Policy(BudgetKind::kThreshold, [](P& p) { p.budget.threshold = 1; })},
      {"policy.sink_blocks", "sparsity.sink_blocks",
       Policy(BudgetKind::kTopKBlocks, [](P& p) { p.sink_blocks = 17; })},
      {"policy.dense_last_blocks", "sparsity.dense_last_blocks",
       Policy(BudgetKind::kTopKBlocks, [](P& p) { p.dense_last_blocks = -1; })},
  };
}

std::vector<Case> RequestCases() {
  using R = GenerationRequest;
  return {
      {"prompt", "token_ids.ids", [](R& r) { r.prompt.clear(); }},
      {"prompt[2]", "token_ids.ids[2]", [](R& r) { r.prompt[2] = -1; }},
      {"max_tokens", "max_tokens", [](R& r) { r.max_tokens = -1; }},
      {"max_tokens", "max_tokens", [](R& r) { r.max_tokens = 1 << 20; }},
      {"min_tokens", "min_tokens", [](R& r) { r.min_tokens = 100; }},
      {"num_choices", "sampling.n", [](R& r) { r.num_choices = 0; }},
      {"num_choices", "sampling.n", [](R& r) { r.num_choices = 1000; }},
      {"stop_ids[0]", "stop_token_ids[0]",
       [](R& r) { r.stop_ids = {kTinyLlamaVocabSize}; }},
      {"stop_strings", "stop_strings", [](R& r) { r.stop_strings = {""}; }},
      {"num_logprobs", "logprobs", [](R& r) { r.num_logprobs = -1; }},
      {"num_prompt_logprobs", "prompt_logprobs",
       [](R& r) { r.num_prompt_logprobs = -1; }},
      {"sampling.temperature", "sampling.temperature",
       [](R& r) { r.sampling.temperature = 3; }},
      {"sampling.top_p", "sampling.top_p", [](R& r) { r.sampling.top_p = 0; }},
      {"sampling.top_k", "sampling.top_k", [](R& r) { r.sampling.top_k = -1; }},
      {"sampling.min_p", "sampling.min_p", [](R& r) { r.sampling.min_p = 1; }},
      {"sampling.repetition_penalty", "sampling.repetition_penalty",
       [](R& r) { r.sampling.repetition_penalty = 0; }},
      {"sampling.presence_penalty", "sampling.presence_penalty",
       [](R& r) { r.sampling.presence_penalty = 3; }},
      {"sampling.frequency_penalty", "sampling.frequency_penalty",
       [](R& r) { r.sampling.frequency_penalty = 3; }},
      {"sampling.logit_bias", "sampling.logit_bias",
       [](R& r) {
         r.sampling.logit_bias = {{3, 101.0f}};
       }},
  };
}

using EngineFieldsTest = TinyEngineTest;

TEST_F(EngineFieldsTest, EachHasItsPathOnTheWire) {
  Start();
  v1::CompleteRequest wire;
  wire.mutable_token_ids();
  std::vector<Case> cases = RequestCases();
  for (Case& c : PolicyCases()) cases.push_back(std::move(c));
  for (const Case& c : cases) {
    GenerationRequest request = GreedyRequest(10, 5);
    c.spoil(request);
    const absl::Status refused = Refused(request);
    EXPECT_EQ(FieldOf(refused).value_or(""), c.engine_field) << refused;
    EXPECT_EQ(FieldOf(InWireTerms(refused, wire)).value_or(""), c.wire_field);
  }
}

}  // namespace
}  // namespace seer
