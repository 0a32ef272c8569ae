#include "engine/tokenizer/bpe/added_tokens.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

AddedToken Token(TokenId id, const std::string& content, bool special = true) {
  AddedToken token;
  token.id = id;
  token.content = content;
  token.special = special;
  return token;
}

// Pieces as "text" and "<id:text>", joined by bars.
std::string Split(const AddedTokens& tokens, absl::string_view text,
                  bool parse_special = true) {
  std::string pieces;
  std::string covered;
  tokens.Split(text, parse_special, [&](const TextPiece& piece) {
    EXPECT_FALSE(piece.text.empty());
    absl::StrAppend(&covered, piece.text);
    if (!pieces.empty()) absl::StrAppend(&pieces, "|");
    if (piece.token) {
      absl::StrAppend(&pieces, "<", *piece.token, ":", piece.text, ">");
    } else {
      absl::StrAppend(&pieces, piece.text);
    }
  });
  EXPECT_EQ(covered, text);
  return pieces;
}

TEST(AddedTokensTest, LeftmostThenLongest) {
  const AddedTokens tokens(
      {Token(1, "ab"), Token(2, "abcd"), Token(3, "bcde"), Token(4, "c")});
  EXPECT_EQ(Split(tokens, "xabcdex"), "x|<2:abcd>|ex");
  EXPECT_EQ(Split(tokens, "xabcx"), "x|<1:ab>|<4:c>|x");
  EXPECT_EQ(Split(tokens, "bcdeab"), "<3:bcde>|<1:ab>");
  EXPECT_EQ(Split(tokens, "xyz"), "xyz");
  EXPECT_EQ(Split(tokens, ""), "");
}

TEST(AddedTokensTest, SpecialTokensAreTextUnlessParsed) {
  const AddedTokens tokens({Token(1, "<s>"), Token(2, "<t>", false)});
  EXPECT_EQ(Split(tokens, "a<s>b<t>c", true), "a|<1:<s>>|b|<2:<t>>|c");
  EXPECT_EQ(Split(tokens, "a<s>b<t>c", false), "a<s>b|<2:<t>>|c");
}

TEST(AddedTokensTest, NormalizedTokensTakeWhatIsLeft) {
  AddedToken normalized = Token(1, "abc", false);
  normalized.normalized = true;
  const AddedTokens tokens({normalized, Token(2, "c")});
  EXPECT_EQ(Split(tokens, "abc"), "ab|<2:c>");
  EXPECT_EQ(Split(tokens, "abc", false), "<1:abc>");
}

TEST(AddedTokensTest, StripsTakeWhiteSpaceAlong) {
  AddedToken left = Token(1, "<l>");
  left.lstrip = true;
  AddedToken right = Token(2, "<r>");
  right.rstrip = true;
  const AddedTokens tokens({left, right});
  EXPECT_EQ(Split(tokens, "a \n<l> b"), "a|<1: \n<l>>| b");
  EXPECT_EQ(Split(tokens, "a <r>\u00A0\u3000b"), "a |<2:<r>\u00A0\u3000>|b");
  // What one token took is not there for the next.
  EXPECT_EQ(Split(tokens, "<r>  <l>"), "<2:<r>  >|<1:<l>>");
  EXPECT_EQ(Split(tokens, "  <l>"), "<1:  <l>>");
}

TEST(AddedTokensTest, ManyAttemptsAreLinear) {
  const AddedTokens tokens({Token(1, "<|im_start|>"), Token(2, "<|im_end|>")});
  std::string text;
  for (int i = 0; i < (8 << 20) / 5; ++i) text += "<|im_";
  int pieces = 0;
  tokens.Split(text, true, [&](const TextPiece& piece) {
    ++pieces;
    EXPECT_EQ(piece.text.size(), text.size());
  });
  EXPECT_EQ(pieces, 1);
}

}  // namespace
}  // namespace seer
