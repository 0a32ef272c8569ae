#include "engine/tokenizer/stop_strings.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/text/utf8.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

StopStringMatcher Matcher(const std::vector<std::string>& strings) {
  auto stops = StopStrings::Make(strings);
  EXPECT_TRUE(stops.ok()) << stops.status();
  return StopStringMatcher(*std::move(stops));
}

struct Outcome {
  std::string text;
  std::optional<size_t> stop;
  bool operator==(const Outcome& other) const {
    return text == other.text && stop == other.stop;
  }
};

Outcome Match(StopStringMatcher matcher,
              const std::vector<std::string>& pieces) {
  Outcome outcome;
  for (const std::string& piece : pieces) {
    const StopStringMatcher::Result result = matcher.Push(piece);
    outcome.text += result.text;
    if (result.stop) {
      outcome.stop = result.stop;
      break;
    }
  }
  outcome.text += matcher.Flush();
  return outcome;
}

TEST(StopStringsTest, FindsAStopAcrossPieces) {
  const StopStringMatcher matcher = Matcher({"END", "\n\n"});
  EXPECT_EQ(Match(matcher, {"one E", "N", "D two"}), (Outcome{"one ", 0}));
  EXPECT_EQ(Match(matcher, {"a\n", "\nb"}), (Outcome{"a", 1}));
  EXPECT_EQ(Match(matcher, {"EN", "EN", "x"}),
            (Outcome{"ENENx", std::nullopt}));
}

TEST(StopStringsTest, HoldsBackWhatMayBecomeAStop) {
  StopStringMatcher matcher = Matcher({"stop!"});
  EXPECT_EQ(matcher.Push("please st").text, "please ");
  EXPECT_TRUE(matcher.holding());
  EXPECT_EQ(matcher.Push("op").text, "");
  EXPECT_EQ(matcher.Push(" st").text, "stop ");
  EXPECT_EQ(matcher.Flush(), "st");
  EXPECT_FALSE(matcher.holding());
}

TEST(StopStringsTest, TheStopThatEndsFirstWinsAndOfThoseTheLongest) {
  EXPECT_EQ(Match(Matcher({"abcd", "bc"}), {"xabcd"}), (Outcome{"xa", 1}));
  EXPECT_EQ(Match(Matcher({"bc", "abc"}), {"xabc"}), (Outcome{"x", 1}));
  EXPECT_EQ(Match(Matcher({"a", "ab"}), {"xab"}), (Outcome{"x", 0}));
}

TEST(StopStringsTest, NothingComesAfterAStop) {
  StopStringMatcher matcher = Matcher({"x"});
  EXPECT_EQ(matcher.Push("ax").text, "a");
  const StopStringMatcher::Result after = matcher.Push("bx");
  EXPECT_EQ(after.text, "");
  EXPECT_FALSE(after.stop.has_value());
  EXPECT_EQ(matcher.Flush(), "");
}

TEST(StopStringsTest, WithoutStopsTextPasses) {
  EXPECT_EQ(Match(Matcher({}), {"a", "b"}), (Outcome{"ab", std::nullopt}));
}

TEST(StopStringsTest, RefusesStringsByIndex) {
  const auto error = [](const std::vector<std::string>& strings) {
    const auto stops = StopStrings::Make(strings);
    EXPECT_EQ(stops.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(stops.status().message());
  };
  EXPECT_EQ(error({"a", ""}), "stop string 1 is empty");
  EXPECT_EQ(error({"\xC3"}), "stop string 0 is not valid UTF-8");
}

// The definition: the shortest prefix of the text that ends with a stop.
Outcome MatchByDefinition(const std::vector<std::string>& strings,
                          const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    const absl::string_view prefix = absl::string_view(text).substr(0, end);
    std::optional<size_t> longest;
    for (size_t i = 0; i < strings.size(); ++i) {
      if (!absl::EndsWith(prefix, strings[i])) continue;
      if (!longest || strings[i].size() >= strings[*longest].size()) {
        longest = i;
      }
    }
    if (longest) {
      return {text.substr(0, end - strings[*longest].size()), longest};
    }
  }
  return {text, std::nullopt};
}

TEST(StopStringsTest, EqualsTheDefinitionHoweverTextIsCut) {
  std::mt19937 random(9);
  const std::vector<std::string> letters = {"a", "b", "\u00E9", "\u00E8"};
  const auto word = [&](int longest) {
    std::string text;
    for (int i = 1 + random() % longest; i > 0; --i) {
      text += letters[random() % letters.size()];
    }
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> strings;
    for (int i = 1 + random() % 4; i > 0; --i) strings.push_back(word(5));
    std::vector<std::string> pieces;
    for (int i = random() % 12; i > 0; --i) pieces.push_back(word(3));
    std::string text;
    for (const std::string& piece : pieces) text += piece;
    const Outcome outcome = Match(Matcher(strings), pieces);
    const Outcome expected = MatchByDefinition(strings, text);
    ASSERT_EQ(outcome.text, expected.text);
    ASSERT_EQ(outcome.stop.has_value(), expected.stop.has_value());
    if (outcome.stop) {
      ASSERT_EQ(strings[*outcome.stop], strings[*expected.stop]);
    }
  }
}

// No piece given out holds a part of the stop that follows, and each is UTF-8.
TEST(StopStringsTest, PiecesAreValidAndNeverLeak) {
  StopStringMatcher matcher = Matcher({"\u00E9\u00E8\u00E9"});
  std::string given;
  for (const char* piece : {"x\u00E9", "\u00E8", "\u00E9\u00E8", "\u00E9"}) {
    const StopStringMatcher::Result result = matcher.Push(piece);
    EXPECT_EQ(FirstInvalidUtf8(result.text), result.text.size());
    given += result.text;
    if (result.stop) break;
  }
  EXPECT_EQ(given, "x");
}

TEST(StopStringsTest, ManyLongStopsAndMuchTextAreCheap) {
  std::vector<std::string> strings;
  for (int i = 0; i < 10000; ++i) {
    strings.push_back(absl::StrCat(std::string(100, 'a'), i, "b"));
  }
  StopStringMatcher matcher = Matcher(strings);
  size_t given = 0;
  for (int i = 0; i < 20000; ++i) {
    given += matcher.Push(std::string(50, 'a')).text.size();
  }
  EXPECT_EQ(given, 20000u * 50 - 100);
}

}  // namespace
}  // namespace seer
