#include "client/flags/flag_set.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class FlagSetTest : public ::testing::Test {
 protected:
  FlagSetTest() {
    flags_.Add("dense", &dense_, "", "reads everything");
    flags_.Group("Sampling");
    flags_.Add("seed", &seed_, "N", "makes the draws reproducible");
    flags_.Add("stop", &stop_, "TEXT", "ends before TEXT; repeatable");
    flags_.Add("timeout", &timeout_, "DURATION", "for the whole call");
    flags_.Add("logit_bias", &bias_, "ID:BIAS", "added to a logit");
  }

  std::string ErrorOf(const std::vector<std::string>& args) {
    return std::string(flags_.Parse(args).status().message());
  }

  FlagSet flags_;
  bool dense_ = false;
  std::optional<uint64_t> seed_;
  std::vector<std::string> stop_;
  absl::Duration timeout_ = absl::Seconds(1);
  std::vector<std::pair<int32_t, float>> bias_;
};

TEST_F(FlagSetTest, ReadsEveryForm) {
  const auto positional = flags_.Parse(std::vector<std::string>{
      "one", "--dense", "--seed=18446744073709551615", "--stop", "--x",
      "--stop=", "-", "--timeout=1m30s", "--logit_bias=7:-1.5", "--", "--two"});
  ASSERT_TRUE(positional.ok()) << positional.status();
  EXPECT_THAT(*positional, ElementsAre("one", "-", "--two"));
  EXPECT_TRUE(dense_);
  EXPECT_EQ(seed_, 18446744073709551615u);
  EXPECT_THAT(stop_, ElementsAre("--x", ""));
  EXPECT_EQ(timeout_, absl::Seconds(90));
  EXPECT_THAT(bias_, ElementsAre(Pair(7, -1.5f)));
}

TEST_F(FlagSetTest, KeepsDefaults) {
  ASSERT_TRUE(flags_.Parse(std::vector<std::string>{}).ok());
  EXPECT_EQ(seed_, std::nullopt);
  EXPECT_EQ(timeout_, absl::Seconds(1));
}

TEST_F(FlagSetTest, BoolsTakeValuesOnlyWithEquals) {
  ASSERT_THAT(*flags_.Parse(std::vector<std::string>{"--dense", "false"}),
              ElementsAre("false"));
  EXPECT_TRUE(dense_);
  ASSERT_TRUE(flags_.Parse(std::vector<std::string>{"--dense=false"}).ok());
  EXPECT_FALSE(dense_);
}

TEST_F(FlagSetTest, NamesWhatIsWrong) {
  EXPECT_EQ(ErrorOf({"--sede=1"}), "unknown flag --sede");
  EXPECT_EQ(ErrorOf({"--seed"}), "--seed needs a value");
  EXPECT_EQ(ErrorOf({"--stop", "--seed=3"}), "--stop needs a value");
  EXPECT_EQ(ErrorOf({"--seed=1", "--seed=1"}), "--seed is given twice");
  EXPECT_EQ(ErrorOf({"--seed=-1"}),
            "--seed cannot be \"-1\": must be a whole number, at least 0");
  EXPECT_EQ(ErrorOf({"--seed=1x"}),
            "--seed cannot be \"1x\": must be a whole number, at least 0");
  EXPECT_EQ(
      ErrorOf({"--timeout=3"}),
      "--timeout cannot be \"3\": must be a time with its unit, such as 90s "
      "or 5m");
  EXPECT_EQ(ErrorOf({"--dense=maybe"}),
            "--dense cannot be \"maybe\": must be true or false");
  EXPECT_EQ(ErrorOf({"--logit_bias=7"}),
            "--logit_bias cannot be \"7\": must be ID:BIAS, such as 42:-1.5");
}

TEST_F(FlagSetTest, HelpListsFlagsByGroup) {
  EXPECT_THAT(flags_.Help(),
              HasSubstr("  --dense                   reads everything\n"
                        "\nSampling:\n"
                        "  --seed=N                  makes the draws"));
}

TEST_F(FlagSetTest, HelpFitsTheTerminal) {
  bool flag = false;
  flags_.Add(
      "a_flag_with_a_very_long_name", &flag, "",
      std::string(40, 'x') +
          " and quite a few words more than fit on a line of the terminal");
  for (size_t begin = 0; begin < flags_.Help().size();) {
    const size_t end = flags_.Help().find('\n', begin);
    EXPECT_LE(end - begin, 80);
    begin = end + 1;
  }
}

}  // namespace
}  // namespace seer
