#include "engine/llama_engine/background/background_share.h"

#include <algorithm>

namespace seer {
namespace {

constexpr double kMostShare = 0.99;

}  // namespace

BackgroundShare::BackgroundShare(double share, absl::Duration most_a_round)
    : share_(std::min(share, kMostShare)),
      earned_a_second_(share_ / (1.0 - share_)),
      most_a_round_(most_a_round) {}

void BackgroundShare::RecordServing(absl::Duration duration) {
  const absl::Duration earned = duration * earned_a_second_;
  credit_ = std::min(credit_ + earned, std::max(earned, wanted_));
}

bool BackgroundShare::Take(absl::Duration expected) {
  wanted_ = expected;
  if (credit_ < expected) return false;
  if (taken_in_round_ > absl::ZeroDuration() &&
      taken_in_round_ + expected > most_a_round_) {
    return false;
  }
  credit_ -= expected;
  taken_in_round_ += expected;
  return true;
}

void BackgroundShare::Correct(absl::Duration expected, absl::Duration actual) {
  credit_ += expected - actual;
  taken_in_round_ += actual - expected;
}

}  // namespace seer
