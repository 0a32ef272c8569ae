#include "server/codec/event_codec.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

const ReplyContext kReply{"r-1", true};

std::vector<v1::CompleteResponse> Frames(const Event& event) {
  std::vector<v1::CompleteResponse> frames;
  AppendFrames(event, kReply, frames);
  return frames;
}

TEST(EventCodecTest, AcceptedCarriesTheServersId) {
  const auto frames = Frames(AcceptedEvent{3});
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].accepted().request_id(), "r-1");
  EXPECT_EQ(frames[0].accepted().queue_position(), 3);
}

TEST(EventCodecTest, FinishSaysWhatStoppedIt) {
  FinishEvent finish;
  finish.index = 2;
  finish.reason = FinishReason::kStop;
  finish.stop_token = 0;
  auto frames = Frames(finish);
  EXPECT_EQ(frames[0].finish().index(), 2);
  EXPECT_EQ(frames[0].finish().reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(frames[0].finish().stop_case(), v1::Finish::kStopTokenId);
  EXPECT_EQ(frames[0].finish().stop_token_id(), 0);
  finish.stop_token.reset();
  finish.stop_string = "END";
  frames = Frames(finish);
  EXPECT_EQ(frames[0].finish().stop_string(), "END");
  finish.stop_string.clear();
  finish.reason = FinishReason::kEndOfText;
  frames = Frames(finish);
  EXPECT_EQ(frames[0].finish().reason(), v1::FINISH_REASON_END_OF_TEXT);
  EXPECT_EQ(frames[0].finish().stop_case(), v1::Finish::STOP_NOT_SET);
}

TEST(EventCodecTest, SummaryCarriesTimesToTheNanosecond) {
  SummaryEvent summary;
  summary.queue_time = absl::Seconds(3) + absl::Nanoseconds(7);
  summary.time_to_first_token = absl::Milliseconds(1500);
  summary.prompt_tokens = 5;
  summary.seed = ~uint64_t{0};
  const auto frames = Frames(summary);
  const v1::Summary& sent = frames[0].summary();
  EXPECT_EQ(sent.timings().queue().seconds(), 3);
  EXPECT_EQ(sent.timings().queue().nanos(), 7);
  EXPECT_EQ(sent.timings().time_to_first_token().nanos(), 500000000);
  EXPECT_EQ(sent.usage().prompt_tokens(), 5);
  EXPECT_EQ(sent.seed(), ~uint64_t{0});
}

TEST(EventCodecTest, TokenBytesNeedNotBeUtf8) {
  DeltaEvent delta;
  delta.token_ids = {1};
  delta.logprobs = {{{1, "\xff", -0.25}, 4, {{9, "a", -0.1}}}};
  const auto frames = Frames(delta);
  const v1::LogprobEntry& entry = frames[0].delta().logprobs(0);
  EXPECT_EQ(entry.token().token(), "\xff");
  EXPECT_EQ(entry.token().logprob(), -0.25);
  EXPECT_EQ(entry.rank(), 4);
  EXPECT_EQ(entry.top(0).token_id(), 9);
}

TEST(EventCodecTest, LongEventsAreCutIntoFramesInOrder) {
  PromptLogprobsEvent prompt;
  prompt.start = 1;
  DeltaEvent delta;
  delta.text = "all of it";
  for (int i = 0; i < 2500; ++i) {
    prompt.entries.push_back({{i, "", 0}, 1, {}});
    delta.token_ids.push_back(i);
    delta.logprobs.push_back({{i, "", 0}, 1, {}});
  }
  int next = 0;
  for (const auto& frame : Frames(prompt)) {
    EXPECT_EQ(frame.prompt_logprobs().start(), next + 1);
    EXPECT_LE(frame.prompt_logprobs().entries_size(), 1024);
    for (const auto& entry : frame.prompt_logprobs().entries()) {
      EXPECT_EQ(entry.token().token_id(), next++);
    }
  }
  EXPECT_EQ(next, 2500);
  next = 0;
  std::string text;
  for (const auto& frame : Frames(delta)) {
    text += frame.delta().text();
    ASSERT_EQ(frame.delta().token_ids_size(), frame.delta().logprobs_size());
    for (const int id : frame.delta().token_ids()) EXPECT_EQ(id, next++);
  }
  EXPECT_EQ(next, 2500);
  EXPECT_EQ(text, "all of it");
}

TEST(EventCodecTest, GatheredRepliesHoldEverythingAndTheirSizeIsBounded) {
  GenerationRequest request;
  request.prompt.assign(700, 5);
  request.max_tokens = 20;
  request.num_choices = 3;
  request.num_logprobs = 2;
  request.num_prompt_logprobs = 1;
  v1::CompleteResult result;
  int64_t bytes = 0;
  for (const Event& event : EchoReply(request, FakeModelInfo()).events) {
    bytes += Gather(event, kReply, result);
    EXPECT_LE(static_cast<int64_t>(result.ByteSizeLong()), bytes);
  }
  EXPECT_EQ(result.request_id(), "r-1");
  ASSERT_EQ(result.choices_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const v1::Choice& choice = result.choices(i);
    EXPECT_EQ(choice.token_ids_size(), 20);
    EXPECT_EQ(choice.logprobs_size(), 20);
    EXPECT_EQ(choice.finish().index(), i);
    EXPECT_EQ(choice.text().substr(0, 6), "w0 w1 ");
  }
  EXPECT_EQ(result.prompt_logprobs_size(), 699);
  EXPECT_EQ(result.summary().usage().output_tokens(), 60);
}

}  // namespace
}  // namespace seer
