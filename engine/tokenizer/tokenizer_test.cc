#include "engine/tokenizer/tokenizer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/text/utf8.h"
#include "engine/token.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

using nlohmann::json;

constexpr char kSmolLm[] = "external/default_model/model";
constexpr char kLlama3[] = "external/llama3_tokenizer/model";

// Loaded once: Llama 3's file is large.
const Tokenizer& Loaded(const std::string& folder) {
  static auto* const tokenizers =
      new std::map<std::string, std::unique_ptr<const Tokenizer>>();
  std::unique_ptr<const Tokenizer>& tokenizer = (*tokenizers)[folder];
  if (tokenizer == nullptr) {
    auto loaded = Tokenizer::Load(folder);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    tokenizer = *std::move(loaded);
  }
  return *tokenizer;
}

EncodeOptions ParseSpecial() {
  EncodeOptions options;
  options.parse_special = true;
  return options;
}

TEST(TokenizerTest, FactsOfTheDefaultModel) {
  const Tokenizer& tokenizer = Loaded(kSmolLm);
  EXPECT_EQ(tokenizer.vocab_size(), 49152);
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(std::vector<TokenId>(tokenizer.end_tokens().begin(),
                                 tokenizer.end_tokens().end()),
            std::vector<TokenId>({2}));
  EXPECT_TRUE(tokenizer.IsSpecial(0));
  EXPECT_TRUE(tokenizer.IsSpecial(16));
  EXPECT_FALSE(tokenizer.IsSpecial(17));
  EXPECT_FALSE(tokenizer.IsSpecial(-1));
  EXPECT_FALSE(tokenizer.Contains(49152));
  EXPECT_EQ(tokenizer.TokenBytes(504), "The");
  EXPECT_EQ(tokenizer.TokenBytes(3575), " capital");
  EXPECT_EQ(tokenizer.TokenToId("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer.TokenToId("\u0120capital"), 3575);
  EXPECT_FALSE(tokenizer.TokenToId("no such token").has_value());
  EXPECT_TRUE(absl::StrContains(tokenizer.chat_template(), "<|im_start|>"));
}

TEST(TokenizerTest, FactsOfLlama3) {
  const Tokenizer& tokenizer = Loaded(kLlama3);
  EXPECT_EQ(tokenizer.vocab_size(), 128256);
  EXPECT_EQ(tokenizer.bos(), 128000);
  EXPECT_EQ(std::vector<TokenId>(tokenizer.end_tokens().begin(),
                                 tokenizer.end_tokens().end()),
            std::vector<TokenId>({128001, 128008, 128009}));
  EncodeOptions options;
  options.add_special = true;
  EXPECT_EQ(*tokenizer.Encode("Hello, world!", options),
            std::vector<TokenId>({128000, 9906, 11, 1917, 0}));
  EXPECT_EQ(*tokenizer.Encode("", options), std::vector<TokenId>({128000}));
}

TEST(TokenizerTest, PlainTextNeverBecomesASpecialToken) {
  for (const char* folder : {kSmolLm, kLlama3}) {
    const Tokenizer& tokenizer = Loaded(folder);
    std::string all;
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
      if (tokenizer.IsSpecial(id)) {
        absl::StrAppend(&all, tokenizer.TokenBytes(id), "x",
                        tokenizer.TokenBytes(id));
      }
    }
    const auto plain = tokenizer.Encode(all, {});
    ASSERT_TRUE(plain.ok()) << plain.status();
    for (const TokenId id : *plain) EXPECT_FALSE(tokenizer.IsSpecial(id));
    EXPECT_EQ(*tokenizer.Decode(*plain, true), all);
    const auto parsed = tokenizer.Encode(all, ParseSpecial());
    EXPECT_EQ(*tokenizer.Decode(*parsed, false), all);
    EXPECT_LT(parsed->size(), plain->size());
  }
}

TEST(TokenizerTest, BrokenUtf8IsRefused) {
  const Tokenizer& tokenizer = Loaded(kSmolLm);
  for (const char* text :
       {"ab\xFF", "ab\xC3", "ab\xED\xA0\x80", "ab\xC0\x80"}) {
    const auto ids = tokenizer.Encode(text, {});
    EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ids.status().message(), "the text is not valid UTF-8 at byte 2");
  }
}

TEST(TokenizerTest, DecodeReplacesBrokenCharactersAndRefusesUnknownIds) {
  const Tokenizer& tokenizer = Loaded(kSmolLm);
  const auto ids = tokenizer.Encode("\U0001F469", {});
  EXPECT_EQ(*tokenizer.Decode({ids->front()}, true), kReplacementCharacter);
  EXPECT_EQ(tokenizer.Decode({5, 49152}, true).status().message(),
            "no token has id 49152");
  EXPECT_FALSE(tokenizer.Decode({-1}, true).ok());
  EXPECT_EQ(*tokenizer.Decode({}, true), "");
}

TEST(TokenizerTest, RandomTextComesBack) {
  // Llama 3 has a token for every byte.
  const Tokenizer& tokenizer = Loaded(kLlama3);
  std::mt19937 random(4);
  for (int round = 0; round < 1000; ++round) {
    std::string text;
    for (int i = random() % 40; i > 0; --i) {
      const char32_t limit = random() % 2 == 0 ? 0x80 : 0x110000;
      const char32_t c = random() % limit;
      if (c < 0xD800 || c > 0xDFFF) AppendUtf8(c, &text);
    }
    const auto ids = tokenizer.Encode(text, {});
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_EQ(*tokenizer.Decode(*ids, true), text);
  }
}

// Words of megabytes: quadratic work would take days.
TEST(TokenizerTest, HugeWordsAreNotQuadratic) {
  std::mt19937 random(6);
  std::string letters(size_t{1} << 20, 'a');
  for (char& c : letters) c = static_cast<char>('a' + random() % 26);
  const std::string same(size_t{8} << 20, 'e');
  for (const char* folder : {kSmolLm, kLlama3}) {
    const Tokenizer& tokenizer = Loaded(folder);
    for (const std::string& text : {letters, same}) {
      const auto ids = tokenizer.Encode(text, {});
      ASSERT_TRUE(ids.ok()) << ids.status();
      EXPECT_EQ(*tokenizer.Decode(*ids, true), text);
    }
  }
}

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    json vocab = json::object();
    for (int c = 'a'; c <= 'z'; ++c) {
      vocab[std::string(1, static_cast<char>(c))] = c - 'a';
    }
    vocab["<s>"] = 30;
    vocab["he"] = 31;
    tokenizer_ = {
        {"normalizer", nullptr},
        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
        {"decoder", {{"type", "ByteLevel"}}},
        {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e"}}}}};
  }

  absl::StatusOr<std::unique_ptr<const Tokenizer>> Parse() const {
    TokenizerFiles files;
    files.tokenizer_json = tokenizer_.dump();
    files.tokenizer_config_json = config_;
    files.generation_config_json = generation_;
    files.chat_template_jinja = jinja_;
    return Tokenizer::Parse(files);
  }

  json tokenizer_;
  std::string config_;
  std::string generation_;
  std::string jinja_;
};

TEST_F(FilesTest, VocabulariesMayHaveGaps) {
  const auto tokenizer = Parse();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 32);
  EXPECT_FALSE((*tokenizer)->Contains(27));
  EXPECT_EQ((*tokenizer)->TokenBytes(27), "");
  EXPECT_EQ((*tokenizer)->Decode({27}, true).status().message(),
            "no token has id 27");
  EXPECT_EQ(*(*tokenizer)->Encode("hey you", {}),
            std::vector<TokenId>({31, 24, 24, 14, 20}));  // no space token
}

TEST_F(FilesTest, RolesMakeTokensSpecial) {
  config_ = R"({"bos_token": "<s>", "eos_token": "he"})";
  // "he" comes out of a merge: it cannot be a control token.
  EXPECT_EQ(Parse().status().message(),
            "tokenizer.json: a merge makes special token 31");
  config_ = R"({"bos_token": "<s>", "eos_token": "gone"})";
  const auto tokenizer = Parse();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->bos(), 30);
  EXPECT_TRUE((*tokenizer)->IsSpecial(30));
  EXPECT_TRUE((*tokenizer)->end_tokens().empty());
  EXPECT_EQ(*(*tokenizer)->Encode("a<s>", ParseSpecial()),
            std::vector<TokenId>({0, 30}));
  EXPECT_EQ(*(*tokenizer)->Encode("a<s>", {}), std::vector<TokenId>({0, 18}));
}

TEST_F(FilesTest, EndTokensAreCollected) {
  config_ = R"({"eos_token": "<s>", "chat_template": "old"})";
  generation_ = R"({"eos_token_id": [4, 2, 4]})";
  jinja_ = "new";
  auto tokenizer = Parse();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(std::vector<TokenId>((*tokenizer)->end_tokens().begin(),
                                 (*tokenizer)->end_tokens().end()),
            std::vector<TokenId>({2, 4, 30}));
  EXPECT_EQ((*tokenizer)->chat_template(), "new");
  generation_ = R"({"eos_token_id": 99})";
  EXPECT_EQ(Parse().status().message(),
            "generation_config.json: eos_token_id: no token has id 99");
}

TEST_F(FilesTest, WordsThatAreTokensNeedNoMerges) {
  tokenizer_["model"]["vocab"]["yes"] = 32;
  EXPECT_EQ(*(*Parse())->Encode("yes", {}), std::vector<TokenId>({24, 4, 18}));
  tokenizer_["model"]["ignore_merges"] = true;
  EXPECT_EQ(*(*Parse())->Encode("yes", {}), std::vector<TokenId>({32}));
  EXPECT_EQ(*(*Parse())->Encode("yess", {}),
            std::vector<TokenId>({24, 4, 18, 18}));
}

TEST_F(FilesTest, BadPatternsAreNamed) {
  tokenizer_["pre_tokenizer"] = json::parse(
      R"({"type": "Sequence", "pretokenizers": [
          {"type": "Split", "pattern": {"Regex": "\\w+"}, "invert": false,
           "behavior": "Isolated"},
          {"type": "ByteLevel", "add_prefix_space": false}]})");
  EXPECT_EQ(Parse().status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Parse().status().message(),
            "tokenizer.json: pre_tokenizer: the pattern `\\w+` uses \\w, "
            "which is not supported");
}

TEST_F(FilesTest, FoldersAreRead) {
  const std::string folder =
      absl::StrCat(testing::TempDir(), "/tokenizer", getpid());
  mkdir(folder.c_str(), 0700);
  EXPECT_EQ(Tokenizer::Load(folder).status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(folder + "/tokenizer.json") << tokenizer_.dump();
  const auto tokenizer = Tokenizer::Load(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_FALSE((*tokenizer)->bos().has_value());
  EXPECT_EQ((*tokenizer)->chat_template(), "");
  std::ofstream(folder + "/tokenizer_config.json") << "{";
  EXPECT_EQ(Tokenizer::Load(folder).status().message(),
            "tokenizer_config.json: not valid JSON");
}

}  // namespace
}  // namespace seer
