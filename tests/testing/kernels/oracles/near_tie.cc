#include "tests/testing/kernels/oracles/near_tie.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace seer {

std::vector<double> LogSoftmax(const float* logits, int64_t num_visible) {
  std::vector<double> result(num_visible);
  for (int64_t j = 0; j < num_visible; ++j) {
    result[j] = std::isnan(logits[j]) ? -std::numeric_limits<double>::infinity()
                                      : logits[j];
  }
  const double max = *std::max_element(result.begin(), result.end());
  double sum = 0.0;
  for (const double logit : result) sum += std::exp(logit - max);
  for (double& x : result) x -= max + std::log(sum);
  return result;
}

double SoftmaxRounding(int64_t num_visible) {
  return static_cast<double>(num_visible + 40) * std::ldexp(1.0, -24);
}

bool DiffersAtNearTies(const SelectionRule& rule, const float* logits,
                       const uint8_t* want, const uint8_t* got,
                       int64_t num_visible, double gap) {
  std::vector<int64_t> lost, gained;
  for (int64_t j = 0; j < num_visible; ++j) {
    if (want[j] != 0 && got[j] == 0) lost.push_back(j);
    if (want[j] == 0 && got[j] != 0) gained.push_back(j);
  }
  if (lost.empty() && gained.empty()) return false;
  if (rule.kind == SelectionRule::Kind::kThreshold) {
    const std::vector<double> log_probs = LogSoftmax(logits, num_visible);
    const double slack = gap + SoftmaxRounding(num_visible);
    lost.insert(lost.end(), gained.begin(), gained.end());
    for (const int64_t j : lost) {
      EXPECT_LE(std::abs(log_probs[j] - std::log(double{rule.threshold})),
                slack)
          << "block " << j << " is no near-tie with the threshold";
    }
    return true;
  }
  EXPECT_EQ(lost.size(), gained.size()) << "another number of blocks";
  for (const int64_t a : lost) {
    for (const int64_t b : gained) {
      EXPECT_LE(std::abs(double{logits[a]} - logits[b]), gap)
          << "blocks " << a << " and " << b << " are no near-tie";
    }
  }
  return true;
}

}  // namespace seer
