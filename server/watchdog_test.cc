#include "server/watchdog.h"

#include <future>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

EngineStats Stats(int64_t running, absl::Time last_step) {
  EngineStats stats;
  stats.requests_running = running;
  stats.last_step_time = last_step;
  return stats;
}

TEST(HealthJudgeTest, AnIdleEngineIsHealthyForEver) {
  HealthJudge judge(absl::Seconds(10));
  EXPECT_TRUE(judge.Judge(Stats(0, kStart), kStart).alive);
  EXPECT_TRUE(judge.Judge(Stats(0, kStart), kStart + absl::Hours(9)).alive);
  // Work that came after a long rest has its own time.
  const absl::Time busy = kStart + absl::Hours(9);
  EXPECT_TRUE(judge.Judge(Stats(1, kStart), busy).alive);
  EXPECT_TRUE(judge.Judge(Stats(1, kStart), busy + absl::Seconds(10)).alive);
}

TEST(HealthJudgeTest, AStepThatHangsIsDeathUntilItEnds) {
  HealthJudge judge(absl::Seconds(10));
  EXPECT_TRUE(judge.Judge(Stats(1, kStart), kStart).alive);
  const absl::Time late = kStart + absl::Seconds(11);
  const Health hanging = judge.Judge(Stats(1, kStart), late);
  EXPECT_FALSE(hanging.alive);
  EXPECT_FALSE(hanging.ready);
  EXPECT_TRUE(judge.Judge(Stats(1, late), late).alive);
}

TEST(HealthJudgeTest, WaitingIsWorkToo) {
  HealthJudge judge(absl::Seconds(10));
  EngineStats stats = Stats(0, kStart);
  stats.requests_waiting = 1;
  EXPECT_TRUE(judge.Judge(stats, kStart).alive);
  EXPECT_FALSE(judge.Judge(stats, kStart + absl::Seconds(11)).alive);
}

TEST(HealthJudgeTest, DrainingIsAliveButNotReady) {
  HealthJudge judge(absl::Seconds(10));
  EngineStats stats = Stats(1, kStart);
  stats.draining = true;
  EXPECT_EQ(judge.Judge(stats, kStart), (Health{true, false}));
}

TEST(HealthJudgeTest, AFaultIsDeath) {
  HealthJudge judge(absl::Seconds(10));
  EngineStats stats = Stats(0, kStart);
  stats.healthy = false;
  EXPECT_EQ(judge.Judge(stats, kStart), (Health{false, false}));
}

TEST(WatchdogTest, ReportsTheFirstVerdictAndEachChange) {
  FakeEngine engine{FakeEngine::Options()};
  Watchdog::Options options;
  options.period = absl::Milliseconds(1);
  options.max_step = absl::Hours(1);
  std::promise<void> first, second;
  int reports = 0;
  Watchdog watchdog(&engine, options, [&](Health health) {
    ++reports;
    if (reports == 1 && health.ready) first.set_value();
    if (reports == 2 && !health.alive) second.set_value();
  });
  first.get_future().wait();
  EngineStats stats = engine.Stats();
  stats.healthy = false;
  engine.SetStats(stats);
  second.get_future().wait();
  EXPECT_EQ(watchdog.health(), (Health{false, false}));
}

TEST(WatchdogTest, TurningReadinessOffRevivesNobody) {
  FakeEngine engine{FakeEngine::Options()};
  EngineStats stats = engine.Stats();
  stats.healthy = false;
  engine.SetStats(stats);
  Watchdog::Options options;
  options.period = absl::Hours(1);
  options.max_step = absl::Hours(2);
  Health last;
  Watchdog watchdog(&engine, options, [&](Health health) { last = health; });
  watchdog.TurnReadinessOff();
  EXPECT_EQ(last, (Health{false, false}));
  stats.healthy = true;
  engine.SetStats(stats);
  watchdog.TurnReadinessOff();
  EXPECT_EQ(last, (Health{true, false}));
  EXPECT_EQ(watchdog.health(), last);
}

}  // namespace
}  // namespace seer
