#include "engine/llama_engine/background/micro_step_timer.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/calibration/run/micro_step_kind.h"
#include "engine/device/cpu_device.h"
#include "engine/llama_engine/background/background_share.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

// Between two points lies what the test says.
class ScriptedClock final : public DeviceClock {
 public:
  explicit ScriptedClock(const absl::Duration* between) : between_(between) {}
  void Reset() override { num_points_ = 0; }
  int Mark() override { return num_points_++; }
  absl::Status Wait() override { return absl::OkStatus(); }
  absl::Duration Between(int, int) const override { return *between_; }

 private:
  const absl::Duration* const between_;
  int num_points_ = 0;
};

class ScriptedDevice final : public CpuDevice {
 public:
  ScriptedDevice() : CpuDevice(nullptr) {}
  std::unique_ptr<DeviceClock> MakeClock() override {
    return std::make_unique<ScriptedClock>(&between);
  }

  absl::Duration between;
};

constexpr MicroStepKind kKind = MicroStepKind::kTrainingSpan;

class MicroStepTimerTest : public testing::Test {
 protected:
  // One that takes `duration`, and what was measured.
  absl::Duration Run(absl::Duration duration) {
    device_.between = duration;
    timer_.Begin();
    timer_.End({kKind, absl::ZeroDuration(), true, absl::ZeroDuration()});
    return timer_.Collect().value().at(0).actual;
  }

  ScriptedDevice device_;
  MicroStepTimer timer_{&device_};
};

TEST_F(MicroStepTimerTest, NothingTakesLessThanNoTime) {
  EXPECT_EQ(Run(-absl::Seconds(5)), absl::ZeroDuration());
  EXPECT_EQ(timer_.Expected(kKind), absl::ZeroDuration());
  EXPECT_EQ(Run(absl::Milliseconds(3)), absl::Milliseconds(3));
  EXPECT_EQ(timer_.Expected(kKind), absl::Milliseconds(3));
  EXPECT_EQ(timer_.Expected(MicroStepKind::kProfilingSpan),
            absl::ZeroDuration());
  timer_.Forget();
  EXPECT_EQ(timer_.Expected(kKind), absl::ZeroDuration());
}

// While it ran alone, the first of its kind was held up for an hour. Steps of
// 10 ms at a share of 0.2 earn 2.5 ms each: an hour's credit takes 1440000.
TEST_F(MicroStepTimerTest, OneThatWasHeldUpIsNotTheLast) {
  Run(absl::Hours(1));
  BackgroundShare share(0.2);
  int num_steps = 0;
  for (; !share.Take(timer_.Expected(kKind)); ++num_steps) {
    ASSERT_LT(num_steps, 2000);
    timer_.Doubt(kKind);
    share.BeginRound();
    share.RecordServing(absl::Milliseconds(10));
  }
  EXPECT_GT(num_steps, 0);
}

}  // namespace
}  // namespace seer
