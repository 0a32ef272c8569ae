#include "engine/tokenizer/incremental_decoder.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/text/utf8.h"
#include "engine/token.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

class IncrementalDecoderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto loaded = Tokenizer::Load("external/default_model/model");
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    tokenizer_ = loaded->release();
  }
  static void TearDownTestSuite() { delete tokenizer_; }

  static std::vector<TokenId> Encode(const std::string& text) {
    EncodeOptions options;
    options.parse_special = true;
    return *tokenizer_->Encode(text, options);
  }

  // Pushes all tokens; every piece must be valid.
  static std::string DecodeByPieces(const std::vector<TokenId>& ids,
                                    bool skip_special) {
    IncrementalDecoder decoder(tokenizer_, skip_special);
    std::string text;
    for (const TokenId id : ids) {
      const std::string piece = decoder.Push(id);
      EXPECT_EQ(FirstInvalidUtf8(piece), piece.size());
      EXPECT_LE(decoder.held().size(), 3u);
      text += piece;
    }
    return text + decoder.Flush();
  }

  static const Tokenizer* tokenizer_;
};

const Tokenizer* IncrementalDecoderTest::tokenizer_ = nullptr;

TEST_F(IncrementalDecoderTest, HoldsBackPartsOfCharacters) {
  const std::vector<TokenId> ids = Encode("\U0001F469");
  ASSERT_GT(ids.size(), 1u);  // the character is several tokens
  IncrementalDecoder decoder(tokenizer_, true);
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    EXPECT_EQ(decoder.Push(ids[i]), "");
    EXPECT_FALSE(decoder.held().empty());
  }
  EXPECT_EQ(decoder.Push(ids.back()), "\U0001F469");
  EXPECT_TRUE(decoder.held().empty());
  EXPECT_EQ(decoder.Flush(), "");
}

TEST_F(IncrementalDecoderTest, WhatCannotBecomeACharacterIsReplaced) {
  const std::vector<TokenId> ids = Encode("\U0001F469");
  IncrementalDecoder decoder(tokenizer_, true);
  decoder.Push(ids[0]);
  EXPECT_EQ(decoder.Push(Encode("a")[0]),
            std::string(kReplacementCharacter) + "a");
  decoder.Push(ids[0]);
  EXPECT_EQ(decoder.Flush(), kReplacementCharacter);
  EXPECT_EQ(decoder.Push(Encode("a")[0]), "a");
}

TEST_F(IncrementalDecoderTest, SpecialTokensAreSkippedOrSpelled) {
  const std::vector<TokenId> ids = Encode("a<|im_end|>b");
  EXPECT_EQ(DecodeByPieces(ids, true), "ab");
  EXPECT_EQ(DecodeByPieces(ids, false), "a<|im_end|>b");
}

TEST_F(IncrementalDecoderTest, UnknownIdsAddNothing) {
  IncrementalDecoder decoder(tokenizer_, false);
  EXPECT_EQ(decoder.Push(-1), "");
  EXPECT_EQ(decoder.Push(tokenizer_->vocab_size()), "");
}

TEST_F(IncrementalDecoderTest, PiecesOfAnyTokensJoinToDecode) {
  std::mt19937 random(2);
  // Tokens that end or begin inside a character, and any others.
  std::vector<TokenId> parts;
  for (TokenId id = 0; id < tokenizer_->vocab_size(); ++id) {
    const absl::string_view bytes = tokenizer_->TokenBytes(id);
    if (FirstInvalidUtf8(bytes) != bytes.size()) parts.push_back(id);
  }
  ASSERT_GT(parts.size(), 100u);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids(random() % 20);
    for (TokenId& id : ids) {
      id = random() % 3 == 0
               ? static_cast<TokenId>(random() % tokenizer_->vocab_size())
               : parts[random() % parts.size()];
    }
    for (const bool skip_special : {false, true}) {
      const auto whole = tokenizer_->Decode(ids, skip_special);
      ASSERT_TRUE(whole.ok());
      ASSERT_EQ(FirstInvalidUtf8(*whole), whole->size());
      ASSERT_EQ(DecodeByPieces(ids, skip_special), *whole);
    }
  }
}

}  // namespace
}  // namespace seer
