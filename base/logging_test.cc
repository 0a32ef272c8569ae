#include "base/logging.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using ::nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class LoggingTest : public testing::Test {
 protected:
  LoggingTest() {
    SetLogLevel(LogLevel::kInfo);
    SetLogSink([this](absl::string_view line) { lines_.emplace_back(line); });
  }
  ~LoggingTest() override {
    SetLogSink(nullptr);
    SetLogLevel(LogLevel::kInfo);
  }

  std::vector<std::string> lines_;
};

TEST_F(LoggingTest, OneJsonObjectALine) {
  const std::string model = "llama";
  Log(LogLevel::kWarning, "slow \"step\"\n",
      {{"port", 8080},
       {"tokens", uint64_t{18446744073709551615u}},
       {"delta", int64_t{-5}},
       {"seconds", 0.25},
       {"ok", true},
       {"model", model},
       {"device", "cpu"},
       {"gate", absl::string_view("mean_pool")}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0].find('\n'), std::string::npos);
  const json line = json::parse(lines_[0]);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "slow \"step\"\n");
  EXPECT_EQ(line["port"], 8080);
  EXPECT_EQ(line["tokens"], 18446744073709551615u);
  EXPECT_EQ(line["delta"], -5);
  EXPECT_EQ(line["seconds"], 0.25);
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["model"], "llama");
  EXPECT_EQ(line["device"], "cpu");
  EXPECT_EQ(line["gate"], "mean_pool");
}

TEST_F(LoggingTest, TimeIsRfc3339InUtc) {
  const absl::Time before = absl::Now();
  Log(LogLevel::kInfo, "now");
  const absl::Time after = absl::Now();
  const std::string text = json::parse(lines_.at(0))["time"];
  absl::Time time;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error))
      << text << ": " << error;
  // Printed to the microsecond, rounded down.
  EXPECT_GT(time, before - absl::Microseconds(1));
  EXPECT_LE(time, after);
  EXPECT_EQ(text.back(), 'Z');
}

TEST_F(LoggingTest, WritesFieldsInOrder) {
  Log(LogLevel::kInfo, "m", {{"b", 1}, {"a", 2}});
  EXPECT_THAT(lines_.at(0), StartsWith("{\"time\":\""));
  EXPECT_THAT(lines_.at(0),
              HasSubstr(R"(,"level":"info","message":"m","b":1,"a":2})"));
}

TEST_F(LoggingTest, NotFiniteNumbersAreStrings) {
  const double infinity = std::numeric_limits<double>::infinity();
  Log(LogLevel::kInfo, "m",
      {{"a", std::nan("")}, {"b", infinity}, {"c", -infinity}});
  EXPECT_THAT(lines_.at(0), HasSubstr(R"("a":"nan","b":"inf","c":"-inf")"));
}

TEST_F(LoggingTest, ReplacesBytesThatAreNotUtf8) {
  Log(LogLevel::kInfo, "a\xff", {{"key", "\xc3"}});
  const json line = json::parse(lines_.at(0));
  EXPECT_EQ(line["message"], "a\uFFFD");
  EXPECT_EQ(line["key"], "\uFFFD");
}

TEST_F(LoggingTest, LevelHoldsBackLowerLines) {
  Log(LogLevel::kDebug, "hidden");
  EXPECT_TRUE(lines_.empty());
  EXPECT_FALSE(LogEnabled(LogLevel::kDebug));
  SetLogLevel(LogLevel::kDebug);
  Log(LogLevel::kDebug, "shown");
  EXPECT_EQ(lines_.size(), 1u);
  SetLogLevel(LogLevel::kError);
  Log(LogLevel::kWarning, "hidden");
  EXPECT_EQ(lines_.size(), 1u);
}

TEST_F(LoggingTest, LevelsHaveNames) {
  for (const absl::string_view name : {"debug", "info", "warning", "error"}) {
    const auto level = ParseLogLevel(name);
    ASSERT_TRUE(level.has_value()) << name;
    EXPECT_EQ(LogLevelName(*level), name);
  }
  EXPECT_FALSE(ParseLogLevel("INFO").has_value());
  EXPECT_FALSE(ParseLogLevel("").has_value());
}

TEST_F(LoggingTest, ThreadsWriteWholeLines) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (int j = 0; j < 100; ++j) Log(LogLevel::kInfo, "m", {{"thread", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(lines_.size(), 400u);
  for (const std::string& line : lines_) EXPECT_TRUE(json::accept(line));
}

TEST(LoggingToStderrTest, WritesALine) {
  testing::internal::CaptureStderr();
  Log(LogLevel::kError, "failed", {{"code", 3}});
  const std::string text = testing::internal::GetCapturedStderr();
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(json::parse(text)["code"], 3);
}

}  // namespace
}  // namespace seer
