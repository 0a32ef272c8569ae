#include "engine/scheduler/step_cost.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "absl/time/time.h"
#include "engine/scheduler/step_plan.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

// A step's time is to be kept within this of its budget, 95 % of the time.
constexpr double kBound = 0.2;

// What a step takes on some machine.
absl::Duration TrueTime(const StepWork& work, const StepCosts& costs) {
  return costs.step + costs.prompt_token * work.prompt_tokens +
         costs.prompt_block * work.prompt_blocks +
         costs.scored_token * work.scored_tokens +
         costs.decode_row * work.decode_rows +
         costs.decode_block * work.decode_blocks;
}

// A GPU: steps are thousands of times faster than what is believed at first.
StepCosts FastMachine() {
  StepCosts costs;
  costs.step = absl::Milliseconds(4);
  costs.prompt_token = absl::Microseconds(15);
  costs.prompt_block = absl::Nanoseconds(600);
  costs.scored_token = absl::Microseconds(300);
  costs.decode_row = absl::Microseconds(20);
  costs.decode_block = absl::Nanoseconds(40);
  return costs;
}

// Steps as traffic brings them.
class Traffic {
 public:
  explicit Traffic(unsigned seed) : random_(seed) {}

  StepWork Next() {
    StepWork work;
    if (Number(0, 3) > 0) {
      work.prompt_tokens = 64 * Number(1, 64);
      work.prompt_blocks = work.prompt_tokens / 64 * Number(1, 500);
      if (Number(0, 4) == 0) work.scored_tokens = work.prompt_tokens;
    }
    work.decode_rows = Number(work.prompt_tokens == 0 ? 1 : 0, 128);
    work.decode_blocks = work.decode_rows * Number(1, 64);
    return work;
  }
  // A step's time as measured: up to 3 % off.
  absl::Duration Measured(absl::Duration time) {
    return time * std::uniform_real_distribution<double>(0.97, 1.03)(random_);
  }

 private:
  int64_t Number(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  std::mt19937 random_;
};

// The relative errors of predictions, after some steps were seen.
std::vector<double> Errors(StepCostModel& model, const StepCosts& costs,
                           int num_unseen, int num_steps) {
  Traffic traffic(7);
  std::vector<double> errors;
  for (int i = 0; i < num_unseen + num_steps; ++i) {
    const StepWork work = traffic.Next();
    const absl::Duration time = TrueTime(work, costs);
    if (i >= num_unseen) {
      errors.push_back(
          std::abs(absl::FDivDuration(model.Predict(work), time) - 1.0));
    }
    model.Record(work, traffic.Measured(time));
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

TEST(StepCostModel, BelievesItsCostsAtFirst) {
  const StepCostModel model(FastMachine());
  StepWork work;
  work.prompt_tokens = 128;
  work.prompt_blocks = 7;
  work.decode_rows = 3;
  work.decode_blocks = 90;
  EXPECT_NEAR(
      absl::FDivDuration(model.Predict(work), TrueTime(work, FastMachine())),
      1.0, 1e-9);
}

TEST(StepCostModel, LearnsAMachineFromItsSteps) {
  StepCostModel model;
  const std::vector<double> errors = Errors(model, FastMachine(), 40, 400);
  EXPECT_LT(errors[errors.size() * 95 / 100], kBound);
}

TEST(StepCostModel, FollowsAMachineThatSlowsDown) {
  StepCostModel model;
  Errors(model, FastMachine(), 40, 100);
  StepCosts slow = FastMachine();
  slow.step *= 2;
  slow.prompt_token *= 3;
  slow.prompt_block *= 2;
  slow.scored_token *= 2;
  slow.decode_row *= 2;
  slow.decode_block *= 2;
  const std::vector<double> errors = Errors(model, slow, 60, 200);
  EXPECT_LT(errors[errors.size() * 95 / 100], kBound);
}

// Parts that are not seen for a long time keep their costs.
TEST(StepCostModel, KeepsWhatItIsNotToldOf) {
  StepCostModel model;
  Errors(model, FastMachine(), 40, 100);
  StepWork decode;
  decode.decode_rows = 16;
  decode.decode_blocks = 1000;
  const absl::Duration before = model.Predict(decode);
  Traffic traffic(3);
  for (int i = 0; i < 300; ++i) {
    StepWork work = traffic.Next();
    work.decode_rows = work.decode_blocks = 0;
    if (work.prompt_tokens == 0) continue;
    model.Record(work, TrueTime(work, FastMachine()));
  }
  EXPECT_NEAR(absl::FDivDuration(model.Predict(decode), before), 1.0, 0.1);
}

TEST(StepCostModel, CostsAreNeverNegative) {
  StepCostModel model;
  Traffic traffic(11);
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    // Times that have nothing to do with the work.
    model.Record(traffic.Next(), absl::Microseconds(1 + random() % 1000000));
    StepWork more = traffic.Next();
    const absl::Duration some = model.Predict(more);
    more.prompt_tokens += 64;
    more.prompt_blocks += 100;
    more.decode_rows += 1;
    more.decode_blocks += 10;
    ASSERT_GE(model.Predict(more), some);
    ASSERT_LT(some, absl::Hours(1));
  }
}

TEST(StepCostModel, PassesOverTimesThatAreNone) {
  StepCostModel model;
  StepWork work;
  work.prompt_tokens = 64;
  const absl::Duration before = model.Predict(work);
  model.Record(work, absl::ZeroDuration());
  model.Record(work, absl::Seconds(-1));
  EXPECT_EQ(model.Predict(work), before);
}

}  // namespace
}  // namespace seer
