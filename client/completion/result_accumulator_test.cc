#include "client/completion/result_accumulator.h"

#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST(ResultAccumulatorTest, GathersInterleavedChoices) {
  ResultAccumulator accumulator;
  for (const char* frame :
       {"accepted { request_id: 'r' queue_position: 3 }",
        "prompt_progress { total: 9 processed: 9 }",
        "prompt_logprobs { start: 1 entries { rank: 1 } }",
        "prompt_logprobs { start: 2 entries { rank: 2 } }",
        "delta { index: 1 text: 'x' token_ids: 1 logprobs { rank: 3 } }",
        "delta { index: 0 text: 'a' token_ids: 2 token_ids: 3 }",
        "finish { index: 1 reason: FINISH_REASON_STOP stop_string: 'q' }",
        "delta { index: 0 text: 'b' token_ids: 4 }",
        "finish { index: 0 reason: FINISH_REASON_LENGTH }",
        "summary { usage { output_tokens: 4 } seed: 5 }"}) {
    accumulator.Add(Parse<v1::CompleteResponse>(frame));
  }
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      accumulator.result(), Parse<v1::CompleteResult>(R"(
        request_id: 'r'
        choices {
          text: 'ab' token_ids: 2 token_ids: 3 token_ids: 4
          finish { index: 0 reason: FINISH_REASON_LENGTH }
        }
        choices {
          text: 'x' token_ids: 1 logprobs { rank: 3 }
          finish { index: 1 reason: FINISH_REASON_STOP stop_string: 'q' }
        }
        prompt_logprobs { rank: 1 }
        prompt_logprobs { rank: 2 }
        summary { usage { output_tokens: 4 } seed: 5 })")))
      << accumulator.result().DebugString();
}

TEST(ResultAccumulatorTest, LeavesOutAbsurdChoices) {
  ResultAccumulator accumulator;
  accumulator.Add(Parse<v1::CompleteResponse>("delta { index: -1 }"));
  accumulator.Add(Parse<v1::CompleteResponse>("finish { index: 2000000000 }"));
  accumulator.Add(v1::CompleteResponse());
  EXPECT_EQ(accumulator.result().choices_size(), 0);
}

}  // namespace
}  // namespace seer
