#include "engine/llama_engine/requests/choice_output.h"

#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/tokenizer/stop_strings.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

TokenId Byte(char c) {
  return kTinyLlamaFirstByte + static_cast<unsigned char>(c);
}

class ChoiceOutputTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = testing::TempDir() + "choice_output";
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, TinyLlamaOptions()).ok());
    auto tokenizer = Tokenizer::Load(folder);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    conditions_.end_ids = {kTinyLlamaTurnEnd};
    conditions_.max_tokens = 100;
    Stops({});
  }

  void Stops(std::vector<std::string> strings) {
    auto stops = StopStrings::Make(strings);
    ASSERT_TRUE(stops.ok()) << stops.status();
    conditions_.stop_strings = *std::move(stops);
  }

  // Pushes bytes until the choice ends; joins the text.
  std::string Push(ChoiceOutput& output, const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
      ChoiceOutput::Step step = output.Push(Byte(c), std::nullopt);
      EXPECT_EQ(step.delta.token_ids, std::vector<TokenId>{Byte(c)});
      text += step.delta.text;
      finish_ = std::move(step.finish);
      if (finish_) break;
    }
    return text;
  }
  ChoiceOutput NewOutput() {
    return ChoiceOutput(3, tokenizer_.get(), &conditions_, TokenHistory());
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  StopConditions conditions_;
  std::optional<FinishEvent> finish_;
};

TEST_F(ChoiceOutputTest, EndsAtTheLength) {
  conditions_.max_tokens = 5;
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "hello world"), "hello");
  ASSERT_TRUE(finish_.has_value());
  EXPECT_EQ(finish_->index, 3);
  EXPECT_EQ(finish_->reason, FinishReason::kLength);
  EXPECT_TRUE(output.finished());
  EXPECT_EQ(output.num_tokens(), 5);
}

TEST_F(ChoiceOutputTest, EndTokensAddNoText) {
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "hi"), "hi");
  ChoiceOutput::Step step = output.Push(kTinyLlamaTurnEnd, std::nullopt);
  EXPECT_EQ(step.delta.text, "");
  EXPECT_EQ(step.delta.token_ids, std::vector<TokenId>{kTinyLlamaTurnEnd});
  ASSERT_TRUE(step.finish.has_value());
  EXPECT_EQ(step.finish->reason, FinishReason::kEndOfText);
  EXPECT_FALSE(step.finish->stop_token.has_value());
}

TEST_F(ChoiceOutputTest, IgnoredEndTokensGoOn) {
  conditions_.end_ids.clear();
  ChoiceOutput output = NewOutput();
  ChoiceOutput::Step step = output.Push(kTinyLlamaTurnEnd, std::nullopt);
  EXPECT_FALSE(step.finish.has_value());
  EXPECT_EQ(step.delta.text, "");
  EXPECT_EQ(Push(output, "on"), "on");
}

TEST_F(ChoiceOutputTest, StopIdsAreReported) {
  conditions_.stop_ids = {Byte('!')};
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "ab!c"), "ab");
  ASSERT_TRUE(finish_.has_value());
  EXPECT_EQ(finish_->reason, FinishReason::kStop);
  EXPECT_EQ(finish_->stop_token, Byte('!'));
}

TEST_F(ChoiceOutputTest, StopStringsNeverLeak) {
  Stops({"STOP"});
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "a STO STOP b"), "a STO ");
  ASSERT_TRUE(finish_.has_value());
  EXPECT_EQ(finish_->reason, FinishReason::kStop);
  EXPECT_EQ(finish_->stop_string, "STOP");
}

TEST_F(ChoiceOutputTest, HeldTextComesOutAtTheEnd) {
  Stops({"STOP"});
  conditions_.max_tokens = 5;
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "a STO"), "a STO");
  EXPECT_EQ(finish_->reason, FinishReason::kLength);
}

TEST_F(ChoiceOutputTest, MinTokensPutStopsOff) {
  Stops({"b"});
  conditions_.min_tokens = 4;
  ChoiceOutput output = NewOutput();
  EXPECT_EQ(Push(output, "abbbb"), "abb");
  EXPECT_EQ(output.num_tokens(), 4);
  EXPECT_EQ(finish_->stop_string, "b");
}

TEST_F(ChoiceOutputTest, TextIsAlwaysUtf8) {
  ChoiceOutput output = NewOutput();
  // The three bytes of a euro sign come out as one; a broken one at the end
  // as U+FFFD.
  EXPECT_EQ(Push(output, "\xE2\x82"), "");
  EXPECT_EQ(Push(output, "\xAC"), "\xE2\x82\xAC");
  EXPECT_EQ(Push(output, "\xE2"), "");
  EXPECT_EQ(output.Push(kTinyLlamaTurnEnd, std::nullopt).delta.text,
            "\xEF\xBF\xBD");
}

TEST_F(ChoiceOutputTest, LogprobsTravelWithTheirToken) {
  ChoiceOutput output = NewOutput();
  LogprobEntry entry;
  entry.rank = 4;
  const ChoiceOutput::Step step = output.Push(Byte('x'), entry);
  ASSERT_EQ(step.delta.logprobs.size(), 1u);
  EXPECT_EQ(step.delta.logprobs[0].rank, 4);
}

}  // namespace
}  // namespace seer
