#include "engine/calibration/training_options.h"

#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(LearningRateScheduleTest, RisesLinearlyAndFallsAsACosine) {
  LearningRateSchedule schedule;
  EXPECT_EQ(schedule.At(0), 0.0);
  EXPECT_DOUBLE_EQ(schedule.At(1), 5e-5);
  EXPECT_DOUBLE_EQ(schedule.At(19), 9.5e-4);
  EXPECT_DOUBLE_EQ(schedule.At(20), 1e-3);
  EXPECT_DOUBLE_EQ(schedule.At(140), 0.0008535533905932737);  // pi / 4
  EXPECT_DOUBLE_EQ(schedule.At(260), 5e-4);
  // One step before 0: sin^2 of half the last angle.
  EXPECT_NEAR(schedule.At(499), 1.0709167935385456e-8, 1e-18);
}

TEST(LearningRateScheduleTest, NeedsNoWarmUpAndMayBeNothingElse) {
  LearningRateSchedule schedule;
  schedule.num_warmup_steps = 0;
  schedule.num_steps = 1;
  EXPECT_EQ(schedule.At(0), schedule.peak);
  schedule.num_warmup_steps = 4;
  schedule.num_steps = 2;
  EXPECT_DOUBLE_EQ(schedule.At(1), schedule.peak / 4);
}

TEST(GateLossTest, RowsAndTermsThatCount) {
  EXPECT_EQ(FirstLossTile(GateLoss::kKl, 3), 0);
  EXPECT_EQ(FirstLossTile(GateLoss::kKl, 18), 4);
  EXPECT_EQ(FirstLossTile(GateLoss::kKlOfRoot, 18), 4);
  EXPECT_EQ(FirstLossTile(GateLoss::kKlReference, 11), 2);
  EXPECT_EQ(FirstLossTile(GateLoss::kMse, 11), 0);
  EXPECT_EQ(NumLossTerms(GateLoss::kKl, 18), 14);
  EXPECT_EQ(NumLossTerms(GateLoss::kKlOfRoot, 18), 14);
  EXPECT_EQ(NumLossTerms(GateLoss::kKlReference, 18), 14 * 18);
  EXPECT_EQ(NumLossTerms(GateLoss::kMse, 18), 18 * 18);
  for (int64_t n = 1; n < 10; ++n) {
    EXPECT_GT(NumLossTerms(GateLoss::kKl, n), 0);
  }
}

TEST(TrainingOptionsTest, RefusesWhatIsOutOfRangeByName) {
  EXPECT_TRUE(TrainingOptions().Validate().ok());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](const TrainingOptions& options) {
    const absl::Status status = options.Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  TrainingOptions options;
  options.schedule.peak = nan;
  EXPECT_NE(message(options).find("learning_rate"), std::string::npos);
  options = {};
  options.schedule.num_steps = 0;
  EXPECT_NE(message(options).find("num_steps"), std::string::npos);
  options = {};
  options.schedule.num_warmup_steps = -1;
  EXPECT_NE(message(options).find("num_warmup_steps"), std::string::npos);
  options = {};
  options.adam_w.beta1 = 1.0;
  EXPECT_NE(message(options).find("beta1"), std::string::npos);
  options = {};
  options.adam_w.beta2 = nan;
  EXPECT_NE(message(options).find("beta2"), std::string::npos);
  options = {};
  options.adam_w.epsilon = 1e-300;  // 0 in fp32
  EXPECT_NE(message(options).find("epsilon"), std::string::npos);
  options = {};
  options.adam_w.weight_decay = -1.0;
  EXPECT_NE(message(options).find("weight_decay"), std::string::npos);
  options = {};
  options.adam_w.max_gradient_norm = 1e20;  // its square is no fp32
  EXPECT_NE(message(options).find("max_gradient_norm"), std::string::npos);
}

}  // namespace
}  // namespace seer
