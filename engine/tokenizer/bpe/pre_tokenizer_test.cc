#include "engine/tokenizer/bpe/pre_tokenizer.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using Words = std::vector<std::string>;

constexpr char kLlama3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

PreTokenizer Make(const std::vector<SplitStep>& steps) {
  auto pre_tokenizer = PreTokenizer::Make(steps);
  EXPECT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status();
  return *std::move(pre_tokenizer);
}

SplitStep Step(const std::string& pattern,
               SplitBehavior behavior = SplitBehavior::kIsolated) {
  SplitStep step;
  step.pattern = pattern;
  step.behavior = behavior;
  return step;
}

Words Split(const PreTokenizer& pre_tokenizer, absl::string_view text) {
  Words words;
  const absl::Status status =
      pre_tokenizer.Split(text, [&](absl::string_view word) {
        EXPECT_FALSE(word.empty());
        words.emplace_back(word);
      });
  EXPECT_TRUE(status.ok()) << status;
  return words;
}

TEST(PreTokenizerTest, Gpt2Words) {
  const PreTokenizer gpt2 = Make({Step(kGpt2Pattern)});
  EXPECT_EQ(
      Split(gpt2, "It's  two\n\n words, 12.5"),
      Words({"It", "'s", " ", " two", "\n\n", " words", ",", " 12", ".", "5"}));
  EXPECT_EQ(Split(gpt2, "end  "), Words({"end", "  "}));
  EXPECT_EQ(Split(gpt2, "na\u00EFve\u3000x"),
            Words({"na\u00EFve", "\u3000", "x"}));
  EXPECT_TRUE(Split(gpt2, "").empty());
}

TEST(PreTokenizerTest, SmolLmCutsDigitsFirst) {
  const PreTokenizer smollm = Make({Step(R"(\p{N})"), Step(kGpt2Pattern)});
  EXPECT_EQ(Split(smollm, "a 12\u00BD b"),
            Words({"a", " ", "1", "2", "\u00BD", " b"}));
}

TEST(PreTokenizerTest, Llama3Words) {
  const PreTokenizer llama = Make({Step(kLlama3Pattern)});
  EXPECT_EQ(Split(llama, "DON'T 12345\r\n\r\n  x?!\n y"),
            Words({"DON", "'T", " ", "123", "45", "\r\n\r\n", " ", " x", "?!\n",
                   " y"}));
}

// The words of a text cut at hyphens, under each behavior, as Hugging Face's
// documentation of Split has them.
TEST(PreTokenizerTest, Behaviors) {
  const std::string text = "the-final--countdown";
  const auto split = [&](SplitBehavior behavior) {
    return Split(Make({Step("-", behavior)}), text);
  };
  EXPECT_EQ(split(SplitBehavior::kRemoved),
            Words({"the", "final", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kIsolated),
            Words({"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious),
            Words({"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext),
            Words({"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split(SplitBehavior::kContiguous),
            Words({"the", "-", "final", "--", "countdown"}));
}

TEST(PreTokenizerTest, BehaviorsAtTheEnds) {
  const auto split = [&](SplitBehavior behavior) {
    return Split(Make({Step("-", behavior)}), "-a-");
  };
  EXPECT_EQ(split(SplitBehavior::kRemoved), Words({"a"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithPrevious), Words({"-", "a-"}));
  EXPECT_EQ(split(SplitBehavior::kMergedWithNext), Words({"-a", "-"}));
}

TEST(PreTokenizerTest, InvertSwapsTheParts) {
  SplitStep step = Step(R"(\p{L}+)", SplitBehavior::kRemoved);
  step.invert = true;
  EXPECT_EQ(Split(Make({step}), "ab, cd!"), Words({"ab", "cd"}));
}

TEST(PreTokenizerTest, LiteralsAreNoPatterns) {
  SplitStep step = Step(".*");
  step.literal = true;
  EXPECT_EQ(Split(Make({step}), "a.*b.c"), Words({"a", ".*", "b.c"}));
}

TEST(PreTokenizerTest, RefusesPatterns) {
  for (const char* pattern : {"a*", "(", R"(\w)", "", "(?=a)"}) {
    const auto made = PreTokenizer::Make({Step(pattern)});
    ASSERT_FALSE(made.ok()) << pattern;
    EXPECT_EQ(made.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_TRUE(absl::StrContains(made.status().message(), pattern));
  }
}

// A pattern of exponential cost is stopped, not waited for.
TEST(PreTokenizerTest, CatastrophicPatternsEnd) {
  const PreTokenizer slow = Make({Step("(?:a|aa)+b")});
  const absl::Status status =
      slow.Split(std::string(100, 'a') + "cb", [](absl::string_view) {});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

// 1 MiB of what makes the patterns look back: anything quadratic would take
// many minutes.
TEST(PreTokenizerTest, HugeRunsAreLinear) {
  constexpr size_t kSize = size_t{1} << 20;
  for (const auto& steps :
       {std::vector<SplitStep>{Step(R"(\p{N})"), Step(kGpt2Pattern)},
        std::vector<SplitStep>{Step(kLlama3Pattern)}}) {
    const PreTokenizer pre_tokenizer = Make(steps);
    for (const std::string unit :
         {" ", "\n", "a", "1", "!", "\u00E9", " \n", "'", "\u3000", " x"}) {
      std::string text;
      text.reserve(kSize + unit.size());
      while (text.size() < kSize) text += unit;
      for (const char* end : {"", "x"}) {
        size_t covered = 0;
        const absl::Status status = pre_tokenizer.Split(
            text + end,
            [&](absl::string_view word) { covered += word.size(); });
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(covered, text.size() + absl::string_view(end).size());
      }
    }
  }
}

}  // namespace
}  // namespace seer
