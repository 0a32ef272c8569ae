// Runs a GPU's gate_score on arguments in host memory.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_GATE_SCORE_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_GATE_SCORE_H_

#include "absl/status/status.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace seer {

// A copy of all that `host`, valid on the CPU, points to, outputs included.
class DeviceGateScore {
 public:
  explicit DeviceGateScore(const GateScoreArgs& host);

  const GateScoreArgs& args() const { return args_; }
  // Waits for the device. `host` is of the constructor's shapes.
  void CopyOutputsTo(const GateScoreArgs& host) const;

 private:
  DeviceBatch batch_;
  DeviceArray tile_indices_, linear_q_, linear_k_, cos_, sin_;
  DeviceArray pooled_queries_, pooled_keys_, key_entries_, logits_;
  GateScoreArgs args_;
};

// GateScore(kCuda) on a copy of everything, then on another one out of a
// captured graph, whose outputs are copied back.
absl::Status GateScoreOnDevice(const GateScoreArgs& args);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_GATE_SCORE_H_
