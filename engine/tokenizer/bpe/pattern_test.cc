#include "engine/tokenizer/bpe/pattern.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr char kSpace[] =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})"
    R"(\x{205f}\x{3000})";

TEST(TranslatePatternTest, SpellsOutWhiteSpace) {
  const std::string space = kSpace;
  EXPECT_EQ(*TranslatePattern(R"(\s+(?!\S)|\s+)"),
            "[" + space + "]+(?![^" + space + "])|[" + space + "]+");
  EXPECT_EQ(*TranslatePattern(R"( ?[^\s\p{L}]+)"),
            " ?[^" + space + R"(\p{L}]+)");
}

TEST(TranslatePatternTest, KeepsWhatMeansTheSame) {
  for (const char* pattern :
       {R"((?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})", R"(\.\[\]\-)",
        R"([\]\[]+)", R"(\d\D\t\P{Lu})", "", "a|b"}) {
    EXPECT_EQ(*TranslatePattern(pattern), pattern);
  }
  EXPECT_EQ(*TranslatePattern(R"(\v)"), R"(\x0b)");
}

TEST(TranslatePatternTest, RefusesWhatMayDiffer) {
  for (const char* pattern :
       {R"(\w+)", R"(\b)", R"(\h)", R"(a\)", R"([a&&b])", R"([[:alpha:]])",
        R"([^\S])", R"(\1)", R"(\X)", R"([]a])", R"([^]a])"}) {
    const auto translated = TranslatePattern(pattern);
    ASSERT_FALSE(translated.ok()) << pattern;
    EXPECT_EQ(translated.status().code(), absl::StatusCode::kUnimplemented);
  }
  EXPECT_EQ(TranslatePattern(R"(x\w+)").status().message(),
            R"(the pattern `x\w+` uses \w, which is not supported)");
}

}  // namespace
}  // namespace seer
