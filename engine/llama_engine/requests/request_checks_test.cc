#include "engine/llama_engine/requests/request_checks.h"

#include <cmath>
#include <functional>
#include <string>

#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

GenerationRequest Good() {
  GenerationRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 7;
  return request;
}

TEST(RequestChecksTest, AcceptsWhatFits) {
  EXPECT_TRUE(CheckRequest(Good(), 100, 10).ok());
}

TEST(RequestChecksTest, TooLongSaysByHowMuch) {
  const absl::Status status = CheckRequest(Good(), 100, 9);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const auto reason = ReasonOf(status);
  ASSERT_TRUE(reason.has_value());
  EXPECT_EQ(reason->reason, "CONTEXT_TOO_LONG");
  EXPECT_EQ(reason->limit, 9);
  EXPECT_EQ(reason->got, 10);
}

struct Bad {
  const char* name;
  std::function<void(GenerationRequest&)> spoil;
  const char* field;
};

class BadRequestTest : public testing::TestWithParam<Bad> {};

TEST_P(BadRequestTest, NamesTheField) {
  GenerationRequest request = Good();
  GetParam().spoil(request);
  const absl::Status status = CheckRequest(request, 100, 1000);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status).value_or(""), GetParam().field);
}

using R = GenerationRequest;
INSTANTIATE_TEST_SUITE_P(
    Fields, BadRequestTest,
    testing::Values(
        Bad{"empty", [](R& r) { r.prompt.clear(); }, "prompt"},
        Bad{"id", [](R& r) { r.prompt[2] = 100; }, "prompt[2]"},
        Bad{"negative_id", [](R& r) { r.prompt[0] = -1; }, "prompt[0]"},
        Bad{"max_tokens", [](R& r) { r.max_tokens = -1; }, "max_tokens"},
        Bad{"min_tokens", [](R& r) { r.min_tokens = 8; }, "min_tokens"},
        Bad{"choices", [](R& r) { r.num_choices = 0; }, "num_choices"},
        Bad{"stop_id",
            [](R& r) {
              r.stop_ids = {3, 100};
            },
            "stop_ids[1]"},
        Bad{"logprobs", [](R& r) { r.num_logprobs = -1; }, "num_logprobs"},
        Bad{"prompt_logprobs", [](R& r) { r.num_prompt_logprobs = -1; },
            "num_prompt_logprobs"},
        Bad{"temperature", [](R& r) { r.sampling.temperature = std::nan(""); },
            "sampling.temperature"},
        Bad{"top_p", [](R& r) { r.sampling.top_p = 0; }, "sampling.top_p"},
        Bad{"top_k", [](R& r) { r.sampling.top_k = -1; }, "sampling.top_k"},
        Bad{"min_p", [](R& r) { r.sampling.min_p = 1; }, "sampling.min_p"},
        Bad{"repetition", [](R& r) { r.sampling.repetition_penalty = 0; },
            "sampling.repetition_penalty"},
        Bad{"presence", [](R& r) { r.sampling.presence_penalty = 3; },
            "sampling.presence_penalty"},
        Bad{"frequency", [](R& r) { r.sampling.frequency_penalty = -3; },
            "sampling.frequency_penalty"},
        Bad{"bias_id",
            [](R& r) {
              r.sampling.logit_bias = {{100, 1.0f}};
            },
            "sampling.logit_bias"},
        Bad{"bias",
            [](R& r) {
              r.sampling.logit_bias = {{1, std::nanf("")}};
            },
            "sampling.logit_bias"}),
    [](const testing::TestParamInfo<Bad>& info) {
      return std::string(info.param.name);
    });

}  // namespace
}  // namespace seer
