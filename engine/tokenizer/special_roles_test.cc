#include "engine/tokenizer/special_roles.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(ParseTokenizerConfigTest, ReadsTokensAndTemplate) {
  const auto roles = ParseTokenizerConfig(
      R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false},
          "chat_template": "{{ x }}"})");
  ASSERT_TRUE(roles.ok()) << roles.status();
  EXPECT_EQ(roles->bos_token, "<s>");
  EXPECT_EQ(roles->eos_token, "</s>");
  EXPECT_EQ(roles->chat_template, "{{ x }}");
}

TEST(ParseTokenizerConfigTest, EverythingMayBeMissing) {
  for (const char* text :
       {"", "{}",
        R"({"bos_token": null, "eos_token": null, "chat_template": null})"}) {
    const auto roles = ParseTokenizerConfig(text);
    ASSERT_TRUE(roles.ok()) << roles.status();
    EXPECT_FALSE(roles->bos_token.has_value());
    EXPECT_FALSE(roles->eos_token.has_value());
    EXPECT_EQ(roles->chat_template, "");
  }
}

TEST(ParseTokenizerConfigTest, OfSeveralTemplatesTheDefaultCounts) {
  auto roles = ParseTokenizerConfig(
      R"({"chat_template": [{"name": "tool_use", "template": "a"},
                            {"name": "default", "template": "b"}]})");
  ASSERT_TRUE(roles.ok()) << roles.status();
  EXPECT_EQ(roles->chat_template, "b");
  roles = ParseTokenizerConfig(
      R"({"chat_template": [{"name": "tool_use", "template": "a"}]})");
  ASSERT_TRUE(roles.ok()) << roles.status();
  EXPECT_EQ(roles->chat_template, "");
}

TEST(ParseTokenizerConfigTest, WrongFieldsAreNamed) {
  const auto error = [](const char* text) {
    return std::string(ParseTokenizerConfig(text).status().message());
  };
  EXPECT_EQ(error("{"), "tokenizer_config.json: not valid JSON");
  EXPECT_EQ(error("[]"), "tokenizer_config.json: want an object, got an array");
  EXPECT_EQ(error(R"({"bos_token": 1})"),
            "tokenizer_config.json: bos_token: want a string, got 1");
  EXPECT_EQ(error(R"({"eos_token": ""})"),
            "tokenizer_config.json: eos_token: is empty");
  EXPECT_EQ(error(R"({"eos_token": {}})"),
            "tokenizer_config.json: eos_token.content: missing");
  EXPECT_EQ(error(R"({"chat_template": {}})"),
            "tokenizer_config.json: chat_template: want a string, got an "
            "object");
}

TEST(ParseGenerationEosTest, ReadsNoneOneOrSeveral) {
  EXPECT_TRUE(ParseGenerationEos("")->empty());
  EXPECT_TRUE(ParseGenerationEos("{}")->empty());
  EXPECT_EQ(*ParseGenerationEos(R"({"eos_token_id": 2})"),
            std::vector<TokenId>({2}));
  EXPECT_EQ(*ParseGenerationEos(R"({"eos_token_id": [5, 3]})"),
            std::vector<TokenId>({5, 3}));
}

TEST(ParseGenerationEosTest, WrongIdsAreNamed) {
  EXPECT_EQ(ParseGenerationEos(R"({"eos_token_id": -1})").status().message(),
            "generation_config.json: eos_token_id: -1 is no token id");
  EXPECT_EQ(
      ParseGenerationEos(R"({"eos_token_id": [1, "2"]})").status().message(),
      "generation_config.json: eos_token_id[1]: want an integer, got \"2\"");
}

}  // namespace
}  // namespace seer
