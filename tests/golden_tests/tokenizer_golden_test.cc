// SmolLM2's tokenizer and chat template against every smollm2_*.json.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/golden_tests/golden_items.h"
#include "tests/testing/golden_file.h"

namespace seer {
namespace {

using Json = nlohmann::json;

class TokenizerGoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Load(GoldenModelDir());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  // item[key] are the ids of item["text"], in which special tokens are
  // recognised.
  void CheckIds(const std::vector<Json>& items, const char* key) {
    EncodeOptions options;
    options.parse_special = true;
    for (const Json& item : items) {
      const std::string text = item.at("text").get<std::string>();
      const auto ids = tokenizer_->Encode(text, options);
      ASSERT_TRUE(ids.ok()) << ids.status();
      EXPECT_EQ(*ids, GoldenIds(item, key)) << text;
    }
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_F(TokenizerGoldenTest, IdsOfTexts) {
  const auto items = GoldenItems("tokenize", {"text", "ids"});
  if (items.empty()) GTEST_SKIP() << "no texts in " << GoldenDir();
  CheckIds(items, "ids");
}

TEST_F(TokenizerGoldenTest, IdsOfPrompts) {
  const auto items = GoldenItems("greedy", {"text", "token_ids"});
  if (items.empty()) GTEST_SKIP() << "no prompts in " << GoldenDir();
  CheckIds(items, "token_ids");
}

TEST_F(TokenizerGoldenTest, TextsOfContinuations) {
  const auto items =
      GoldenItems("greedy", {"continuation_ids", "continuation_text"});
  if (items.empty()) GTEST_SKIP() << "no continuations in " << GoldenDir();
  for (const Json& item : items) {
    const auto text = tokenizer_->Decode(GoldenIds(item, "continuation_ids"),
                                         /*skip_special=*/false);
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(*text, item.at("continuation_text").get<std::string>());
  }
}

// The messages of a ChatML prompt that opens the assistant's turn; none where
// `text` is not one.
std::vector<ChatMessage> ParseChat(absl::string_view text) {
  std::vector<ChatMessage> messages;
  while (absl::ConsumePrefix(&text, "<|im_start|>")) {
    if (text == "assistant\n") return messages;
    const size_t role_end = text.find('\n');
    const size_t end = text.find("<|im_end|>\n");
    if (end == absl::string_view::npos || role_end > end) return {};
    messages.push_back(
        {std::string(text.substr(0, role_end)),
         std::string(text.substr(role_end + 1, end - role_end - 1))});
    text.remove_prefix(end + absl::string_view("<|im_end|>\n").size());
  }
  return {};
}

TEST_F(TokenizerGoldenTest, ChatPrompts) {
  const auto chat = ChatTemplate::Make(tokenizer_.get());
  ASSERT_TRUE(chat.ok()) << chat.status();
  int num_checked = 0;
  for (const Json& item : GoldenItems("greedy", {"text", "token_ids"})) {
    const std::string text = item.at("text").get<std::string>();
    const std::vector<ChatMessage> messages = ParseChat(text);
    if (messages.empty()) continue;
    ++num_checked;
    const auto rendered = chat->RenderText(messages, {});
    ASSERT_TRUE(rendered.ok()) << rendered.status();
    EXPECT_EQ(*rendered, text);
    const auto ids = chat->Encode(messages, {});
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, GoldenIds(item, "token_ids")) << text;
  }
  if (num_checked == 0) GTEST_SKIP() << "no chat prompt in " << GoldenDir();
}

}  // namespace
}  // namespace seer
