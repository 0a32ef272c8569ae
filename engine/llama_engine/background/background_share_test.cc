#include "engine/llama_engine/background/background_share.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

struct Simulated {
  absl::Duration serving;
  absl::Duration background;
  absl::Duration longest_gap;  // between two steps
  int gaps_used = 0;
};

// `num_steps` steps, micro-steps between them as long as they are let.
Simulated Simulate(BackgroundShare& share, int num_steps, absl::Duration step,
                   absl::Duration micro_step, absl::Duration believed) {
  Simulated simulated;
  for (int i = 0; i < num_steps; ++i) {
    simulated.serving += step;
    share.RecordServing(step);
    share.BeginRound();
    absl::Duration gap;
    while (share.Take(believed)) {
      share.Correct(believed, micro_step);
      gap += micro_step;
    }
    simulated.background += gap;
    simulated.longest_gap = std::max(simulated.longest_gap, gap);
    if (gap > absl::ZeroDuration()) ++simulated.gaps_used;
  }
  return simulated;
}

TEST(BackgroundShareTest, TheShareIsKeptAndUsed) {
  for (const double share : {0.05, 0.2, 0.5, 0.9}) {
    for (const double micro_ms : {0.5, 3.0, 40.0}) {
      BackgroundShare background(share);
      const absl::Duration step = absl::Milliseconds(10);
      const absl::Duration micro = absl::Milliseconds(micro_ms);
      const Simulated got = Simulate(background, 20000, step, micro, micro);
      const double used =
          absl::FDivDuration(got.background, got.serving + got.background);
      EXPECT_LE(used, share);
      // Credit for less than one micro-step, or one step's, lies unused; what a
      // step earns past that is lost where it is no multiple of micro-steps.
      const absl::Duration earned = step * (share / (1 - share));
      EXPECT_LE(got.longest_gap, std::max(earned, micro));
      EXPECT_GE(used, share / 2);
    }
  }
}

// A micro-step longer than what a step earns comes after every few steps.
TEST(BackgroundShareTest, LongMicroStepsAreSavedUpFor) {
  BackgroundShare background(0.2);
  // Each step earns 2.5 ms, 16 steps one micro-step.
  const Simulated got =
      Simulate(background, 1600, absl::Milliseconds(10), absl::Milliseconds(40),
               absl::Milliseconds(40));
  EXPECT_EQ(got.gaps_used, 100);
  EXPECT_EQ(got.longest_gap, absl::Milliseconds(40));
}

TEST(BackgroundShareTest, WhatTakesLongerThanBelievedIsPaidForAfterwards) {
  BackgroundShare background(0.2);
  const Simulated got =
      Simulate(background, 10000, absl::Milliseconds(10),
               absl::Milliseconds(40), /*believed=*/absl::ZeroDuration());
  const absl::Duration all = got.serving + got.background;
  EXPECT_LE(absl::FDivDuration(got.background, all),
            0.2 + absl::FDivDuration(absl::Milliseconds(40), all));
  EXPECT_EQ(got.longest_gap, absl::Milliseconds(40));
}

TEST(BackgroundShareTest, CreditDoesNotPileUp) {
  BackgroundShare background(0.5);
  EXPECT_FALSE(background.Take(absl::Milliseconds(3)));
  for (int i = 0; i < 1000; ++i) {
    background.RecordServing(absl::Milliseconds(1));
  }
  EXPECT_TRUE(background.Take(absl::Milliseconds(3)));
  EXPECT_FALSE(background.Take(absl::Milliseconds(1)));
  // A debt is forgotten where nobody is kept waiting.
  background.Correct(absl::ZeroDuration(), absl::Seconds(5));
  background.RecordIdle();
  background.RecordServing(absl::Milliseconds(1));
  EXPECT_TRUE(background.Take(absl::Milliseconds(1)));
}

// A step of 10 ms earns 990: what is more than a round may take waits for the
// next, where the engine has looked around; a long micro-step comes alone.
TEST(BackgroundShareTest, ARoundIsBounded) {
  const absl::Duration step = absl::Milliseconds(10);
  const absl::Duration most = absl::Milliseconds(50);
  for (const double micro_ms : {3.0, 40.0, 80.0}) {
    for (const bool is_known : {true, false}) {
      const absl::Duration micro = absl::Milliseconds(micro_ms);
      const absl::Duration believed = is_known ? micro : absl::Nanoseconds(1);
      BackgroundShare background(0.99, most);
      const Simulated got = Simulate(background, 1000, step, micro, believed);
      EXPECT_LE(got.longest_gap,
                std::max(micro, is_known ? most : most + micro));
      EXPECT_EQ(got.gaps_used, 1000);
    }
  }
  BackgroundShare background(0.99, most);
  background.RecordServing(step);
  int num_run = 0;
  for (int round = 0; round < 3; ++round) {
    background.BeginRound();
    while (background.Take(absl::Milliseconds(10))) ++num_run;
  }
  EXPECT_EQ(num_run, 15) << "without another step: credit is not lost";
}

TEST(BackgroundShareTest, ShareOneLeavesRequestsSomething) {
  BackgroundShare background(1.0);
  background.RecordServing(absl::Milliseconds(10));
  int num_run = 0;
  while (background.Take(absl::Milliseconds(10))) ++num_run;
  EXPECT_NEAR(num_run, 99, 1);
}

}  // namespace
}  // namespace seer
