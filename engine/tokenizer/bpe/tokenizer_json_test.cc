#include "engine/tokenizer/bpe/tokenizer_json.h"

#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

using nlohmann::json;

json Valid() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 5, "content": "<s>", "single_word": false, "lstrip": false,
       "rstrip": true, "normalized": false, "special": true},
      {"id": 1, "content": "b", "single_word": false, "lstrip": true,
       "rstrip": false, "normalized": true, "special": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed",
       "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "post_processor": {"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                  {"Sequence": {"id": "A", "type_id": 0}}],
       "special_tokens": {"<s>": {"id": "<s>", "ids": [5]}}}]},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": "", "end_of_word_suffix": null,
      "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
      "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4},
      "merges": ["a b", ["ab", "c"]]}})");
}

TEST(TokenizerJsonTest, ReadsEveryPart) {
  const auto tokenizer = ParseTokenizerJson(Valid().dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->vocab.size(), 5u);
  EXPECT_EQ(tokenizer->vocab.at("abc"), 4);
  ASSERT_EQ(tokenizer->merges.size(), 2u);
  EXPECT_EQ(tokenizer->merges[1].left, 3);
  EXPECT_EQ(tokenizer->merges[1].right, 2);
  EXPECT_EQ(tokenizer->merges[1].result, 4);
  EXPECT_EQ(tokenizer->byte_tokens['c'], 2);
  EXPECT_EQ(tokenizer->byte_tokens['d'], kNoToken);
  EXPECT_TRUE(tokenizer->ignore_merges);
  ASSERT_EQ(tokenizer->added_tokens.size(), 2u);
  EXPECT_TRUE(tokenizer->added_tokens[0].special);
  EXPECT_TRUE(tokenizer->added_tokens[0].rstrip);
  EXPECT_TRUE(tokenizer->added_tokens[1].lstrip);
  EXPECT_TRUE(tokenizer->added_tokens[1].normalized);
  ASSERT_EQ(tokenizer->split_steps.size(), 2u);
  EXPECT_EQ(tokenizer->split_steps[0].pattern, R"(\p{N})");
  EXPECT_EQ(tokenizer->split_steps[0].behavior, SplitBehavior::kIsolated);
  EXPECT_TRUE(tokenizer->split_steps[1].literal);
  EXPECT_EQ(tokenizer->split_steps[1].behavior, SplitBehavior::kRemoved);
  EXPECT_EQ(tokenizer->prefix, std::vector<TokenId>({5}));
  EXPECT_TRUE(tokenizer->suffix.empty());
}

TEST(TokenizerJsonTest, ByteLevelBringsItsPattern) {
  json file = Valid();
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const auto tokenizer = ParseTokenizerJson(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ASSERT_EQ(tokenizer->split_steps.size(), 1u);
  EXPECT_EQ(tokenizer->split_steps[0].pattern, kGpt2Pattern);
}

struct BadPart {
  const char* pointer;  // JSON pointer
  const char* value;    // JSON; "" removes the part
  absl::StatusCode code;
  const char* message;  // part of the error
};
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnsupported = absl::StatusCode::kUnimplemented;

class BadPartTest : public testing::TestWithParam<BadPart> {};

TEST_P(BadPartTest, IsRefusedByName) {
  const BadPart& bad = GetParam();
  json file = Valid();
  if (*bad.value == '\0') {
    file = file.patch({{{"op", "remove"}, {"path", bad.pointer}}});
  } else {
    file[json::json_pointer(bad.pointer)] = json::parse(bad.value);
  }
  const auto tokenizer = ParseTokenizerJson(file.dump());
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_EQ(tokenizer.status().code(), bad.code);
  EXPECT_TRUE(absl::StrContains(tokenizer.status().message(), bad.message))
      << tokenizer.status();
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPartTest,
    testing::Values(
        BadPart{"/normalizer", R"({"type": "NFC"})", kUnsupported,
                "tokenizer.json: normalizer: normalizers are not supported"},
        BadPart{"/model", "", kInvalid, "tokenizer.json: model: missing"},
        BadPart{"/model/type", "\"Unigram\"", kUnsupported,
                "model.type: model Unigram is not supported"},
        BadPart{"/model/dropout", "0.1", kUnsupported, "model.dropout: 0.1"},
        BadPart{"/model/byte_fallback", "true", kUnsupported,
                "model.byte_fallback: true is not supported"},
        BadPart{"/model/unk_token", "\"a\"", kUnsupported, "model.unk_token"},
        BadPart{"/model/end_of_word_suffix", "\"</w>\"", kUnsupported,
                "model.end_of_word_suffix"},
        BadPart{"/model/ignore_merges", "1", kInvalid,
                "model.ignore_merges: want true or false, got 1"},
        BadPart{"/model/vocab", "[]", kInvalid, "model.vocab: want an object"},
        BadPart{"/model/vocab/a", "-1", kInvalid, "-1 is not in [0, 4194303]"},
        BadPart{"/model/vocab/a", "4194304", kInvalid, "4194304 is not in"},
        BadPart{"/model/vocab/a", "\"x\"", kInvalid, "want an integer"},
        BadPart{"/model/vocab/a", "1", kInvalid, "two tokens have id 1"},
        BadPart{"/model/merges", "", kInvalid, "model.merges: want an array"},
        BadPart{"/model/merges/0", "\"a z\"", kInvalid,
                "model.merges[0]: not in the vocabulary: \"a z\""},
        BadPart{"/model/merges/0", "\"b a\"", kInvalid, "not in the vocab"},
        BadPart{"/model/merges/0", "\"ab\"", kInvalid, "a merge is two tokens"},
        BadPart{"/model/merges/0", "\"a b c\"", kInvalid, "a merge is two"},
        BadPart{"/model/merges/1", "[\"a\"]", kInvalid,
                "model.merges[1]: a merge is of two tokens"},
        BadPart{"/model/merges/1", "[1, 2]", kInvalid, "want a string, got 1"},
        BadPart{"/model/merges/1", "7", kInvalid, "want a string, got 7"},
        BadPart{"/added_tokens", "{}", kInvalid, "added_tokens: want an array"},
        BadPart{"/added_tokens/0/id", "", kInvalid,
                "added_tokens[0].id: missing"},
        BadPart{"/added_tokens/0/content", "\"\"", kInvalid,
                "added_tokens[0].content: is empty"},
        BadPart{"/added_tokens/0/single_word", "true", kUnsupported,
                "added_tokens[0].single_word: true is not supported"},
        BadPart{"/added_tokens/0/special", "", kInvalid,
                "added_tokens[0].special: missing"},
        BadPart{"/added_tokens/0/id", "2", kInvalid,
                "its id 2 or its content is another token's too"},
        BadPart{"/added_tokens/0/content", "\"b\"", kInvalid,
                "the vocabulary gives this token id 1"},
        BadPart{"/pre_tokenizer", "null", kUnsupported,
                "pre_tokenizer: a tokenizer without ByteLevel"},
        BadPart{"/pre_tokenizer/pretokenizers/2", "", kUnsupported,
                "a tokenizer without ByteLevel"},
        BadPart{"/pre_tokenizer/pretokenizers/0",
                R"({"type": "ByteLevel", "add_prefix_space": false})",
                kUnsupported, "a part after ByteLevel"},
        BadPart{"/pre_tokenizer/pretokenizers/0", R"({"type": "Metaspace"})",
                kUnsupported, "pre-tokenizer Metaspace is not supported"},
        BadPart{"/pre_tokenizer/pretokenizers/0",
                R"({"type": "Sequence", "pretokenizers": []})", kUnsupported,
                "a sequence in a sequence"},
        BadPart{"/pre_tokenizer/pretokenizers/0", "{}", kInvalid,
                "pretokenizers[0].type: missing"},
        BadPart{"/pre_tokenizer/pretokenizers/2/add_prefix_space", "true",
                kUnsupported, "add_prefix_space: true is not supported"},
        BadPart{"/pre_tokenizer/pretokenizers/1/behavior", "\"Odd\"", kInvalid,
                "unknown behavior \"Odd\""},
        BadPart{"/pre_tokenizer/pretokenizers/1/pattern", "{}", kInvalid,
                "pattern.Regex: missing"},
        BadPart{"/pre_tokenizer/pretokenizers/1/pattern/String", "\"\"",
                kInvalid, "the pattern is empty"},
        BadPart{"/post_processor/processors/0/type", "\"Bert\"", kUnsupported,
                "post-processor Bert is not supported"},
        BadPart{"/post_processor/processors/1/single", "[]", kInvalid,
                "single: the text is not in it"},
        BadPart{"/post_processor/processors/1/special_tokens", "", kInvalid,
                "special_tokens.<s>.ids: missing"},
        BadPart{"/post_processor/processors/1/special_tokens/<s>/ids/0", "99",
                kInvalid, "post_processor: no token has id 99"},
        BadPart{"/decoder", "null", kInvalid, "decoder.type: missing"},
        BadPart{"/decoder/type", "\"WordPiece\"", kUnsupported,
                "decoder WordPiece is not supported"}));

TEST(TokenizerJsonTest, NoSpecialTokenComesOutOfText) {
  json file = Valid();
  file["added_tokens"][0]["id"] = 4;
  file["added_tokens"][0]["content"] = "abc";
  file["post_processor"] = nullptr;
  auto tokenizer = ParseTokenizerJson(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(CheckSpecialTokens(*tokenizer).message(),
            "tokenizer.json: a merge makes special token 4");
  file = Valid();
  file["added_tokens"][1]["special"] = true;
  tokenizer = ParseTokenizerJson(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(CheckSpecialTokens(*tokenizer).message(),
            "tokenizer.json: a byte is special token 1");
}

// Whatever a few changed bytes make of the file, it is read or refused.
TEST(TokenizerJsonTest, MutatedFilesDoNoHarm) {
  std::mt19937 random(3);
  const std::string valid = Valid().dump();
  int accepted = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text = valid;
    for (int change = 0; change < 2; ++change) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        default:
          text.insert(at, 1, "0123456789-.eE\"{}[],:"[random() % 21]);
      }
    }
    const auto tokenizer = ParseTokenizerJson(text);
    if (!tokenizer.ok()) continue;
    ++accepted;
    for (const auto& [token, id] : tokenizer->vocab) {
      EXPECT_GE(id, 0);
      EXPECT_LE(id, kMaxTokenId);
    }
    // Patterns may be anything by now: made or refused.
    PreTokenizer::Make(tokenizer->split_steps).status().IgnoreError();
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace seer
