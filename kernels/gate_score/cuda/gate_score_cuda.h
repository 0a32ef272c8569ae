// The GPU backend of gate_score.
#ifndef SEER_KERNELS_GATE_SCORE_CUDA_GATE_SCORE_CUDA_H_
#define SEER_KERNELS_GATE_SCORE_CUDA_GATE_SCORE_CUDA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {

// Enqueues GateScore, two kernels, of arguments whose host side GateScore has
// checked.
absl::Status GateScoreOnCuda(const GateScoreArgs& args, DeviceStream stream);

// Bytes of DeviceStream::workspace that GateScoreOnCuda needs.
int64_t CudaGateScoreWorkspaceBytes(const GateScoreArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_GATE_SCORE_CUDA_GATE_SCORE_CUDA_H_
