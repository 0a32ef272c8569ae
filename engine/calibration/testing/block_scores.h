// What a prompt's blocks are worth to its tiles, for tests of what judges that.
#ifndef SEER_ENGINE_CALIBRATION_TESTING_BLOCK_SCORES_H_
#define SEER_ENGINE_CALIBRATION_TESTING_BLOCK_SCORES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/model/aten/aten.h"
#include "gtest/gtest.h"

namespace seer {

// [num_tiles, num_heads, num_tiles]; NaN past the visible blocks.
using HostScores = std::vector<float>;

// Rows that sum to 1, all values different.
HostScores RandomBlockScores(int64_t num_tiles, int32_t num_heads,
                             uint64_t seed);

// A test with scores on a device, which its parameter names.
class BlockScoresTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;
  void TearDown() override { kept_.clear(); }

  // A copy on the device, until the test ends.
  const float* OnDevice(const HostScores& scores);

  std::unique_ptr<Device> device_;

 private:
  std::vector<at::Tensor> kept_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TESTING_BLOCK_SCORES_H_
