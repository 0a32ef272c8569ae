#include "engine/calibration/testing/block_scores.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "tests/testing/engine/test_devices.h"

namespace seer {

HostScores RandomBlockScores(int64_t num_tiles, int32_t num_heads,
                             uint64_t seed) {
  HostScores scores(num_tiles * num_heads * num_tiles,
                    std::numeric_limits<float>::quiet_NaN());
  std::mt19937_64 random(seed);
  std::exponential_distribution<float> weight;
  for (int64_t row = 0; row < num_tiles * num_heads; ++row) {
    float* const values = &scores[row * num_tiles];
    const int64_t num_visible = row / num_heads + 1;
    std::generate_n(values, num_visible, [&] { return weight(random); });
    const float sum = std::accumulate(values, values + num_visible, 0.0f);
    for (int64_t j = 0; j < num_visible; ++j) values[j] /= sum;
  }
  return scores;
}

void BlockScoresTest::SetUp() {
  const std::string missing = MissingDevice(GetParam());
  if (!missing.empty()) GTEST_SKIP() << missing;
  auto device = OpenTestDevice(GetParam(), nullptr);
  ASSERT_TRUE(device.ok()) << device.status();
  device_ = *std::move(device);
  ASSERT_TRUE(device_->BindThisThread().ok());
}

const float* BlockScoresTest::OnDevice(const HostScores& scores) {
  kept_.push_back(at::empty({static_cast<int64_t>(scores.size())}, at::kFloat));
  std::copy(scores.begin(), scores.end(),
            kept_.back().mutable_data_ptr<float>());
  kept_.back() = kept_.back().to(AtenDevice(*device_));
  return kept_.back().const_data_ptr<float>();
}

}  // namespace seer
