#include "engine/calibration/plan/option_checks.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "engine/errors.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr int64_t kContext = 32768;

TEST(OptionChecksTest, NamesWhatIsOutOfRange) {
  EXPECT_TRUE(CheckCalibrationOptions(CalibrationOptions(), kContext).ok());
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using Options = CalibrationOptions;
  const struct {
    const char* field;
    std::function<void(Options&)> change;
  } cases[] = {
      {"design", [](Options& o) { o.design = "Qavg_Kmedian"; }},
      {"steps", [](Options& o) { o.design = "mean_pool"; }},
      {"warmup_steps",
       [](Options& o) {
         o.design = "mean_pool";
         o.steps = 0;
       }},
      {"target", [](Options& o) { o.design = "oracle_mass"; }},
      {"steps", [](Options& o) { o.steps = 0; }},
      {"steps", [](Options& o) { o.steps = 1000001; }},
      {"warmup_steps", [](Options& o) { o.warmup_steps = o.steps + 1; }},
      {"warmup_steps", [](Options& o) { o.warmup_steps = -1; }},
      {"sequences_per_step", [](Options& o) { o.sequences_per_step = 0; }},
      {"sequences_per_step",
       [](Options& o) { o.sequences_per_step = int64_t{1} << 60; }},
      {"sequence_len", [](Options& o) { o.sequence_len = 127; }},
      {"sequence_len", [](Options& o) { o.sequence_len = kContext + 1; }},
      {"learning_rate", [](Options& o) { o.learning_rate = 0.0; }},
      {"learning_rate", [](Options& o) { o.learning_rate = kNan; }},
      {"device_share", [](Options& o) { o.device_share = 1.01; }},
      {"device_share", [](Options& o) { o.device_share = kNan; }},
      {"validation_fraction", [](Options& o) { o.validation_fraction = 0.6; }},
      {"tool_version", [](Options& o) { o.tool_version = "\xff"; }},
      {"dataset_sha256", [](Options& o) { o.dataset_sha256 = "feed"; }},
      {"loss",
       [](Options& o) {
         o.target = CalibrationTarget::kMass;
         o.loss = CalibrationLoss::kMse;
       }},
      {"loss",
       [](Options& o) {
         o.target = CalibrationTarget::kMass;
         o.loss = CalibrationLoss::kKlReference;
       }},
      {"loss",
       [](Options& o) {
         o.target = CalibrationTarget::kRootMass;
         o.loss = CalibrationLoss::kMse;
       }},
      {"loss",
       [](Options& o) {
         o.target = CalibrationTarget::kRootMass;
         o.loss = CalibrationLoss::kKlReference;
       }},
  };
  for (const auto& test : cases) {
    Options options;
    test.change(options);
    const absl::Status status = CheckCalibrationOptions(options, kContext);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status).value_or(""), test.field) << status;
  }
}

TEST(OptionChecksTest, TakesWhatIsJustInRange) {
  CalibrationOptions options;
  options.steps = 1;
  options.warmup_steps = 1;
  options.sequence_len = kContext;
  options.learning_rate = 1.0;
  options.device_share = 1.0;
  options.validation_fraction = 0.5;
  options.loss = CalibrationLoss::kMse;
  EXPECT_TRUE(CheckCalibrationOptions(options, kContext).ok());
  options.steps = 0;
  options.warmup_steps = 0;
  for (const char* const design : {"mean_pool", "oracle_max"}) {
    options.design = design;
    EXPECT_TRUE(CheckCalibrationOptions(options, kContext).ok()) << design;
  }
}

TEST(OptionChecksTest, RootMassIsALossOfItsOwn) {
  CalibrationOptions options;
  options.target = CalibrationTarget::kRootMass;
  EXPECT_TRUE(CheckCalibrationOptions(options, kContext).ok());
  EXPECT_EQ(TrainingOptionsOf(options).loss, GateLoss::kKlOfRoot);
  for (const auto target :
       {CalibrationTarget::kMax, CalibrationTarget::kMass}) {
    options.target = target;
    EXPECT_EQ(TrainingOptionsOf(options).loss, GateLoss::kKl);
  }
}

}  // namespace
}  // namespace seer
