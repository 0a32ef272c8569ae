#include "tests/testing/kernels/host_calls.h"

#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_gate_score.h"
#include "tests/testing/kernels/cuda/device_qk_prepare.h"
#endif

namespace seer {

absl::Status QkPrepareFromHost(Backend backend, const QkPrepareArgs& args,
                               DeviceStream stream) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return QkPrepareOnDevice(args);
#endif
  return QkPrepare(backend, args, stream);
}

absl::Status GateScoreFromHost(Backend backend, const GateScoreArgs& args,
                               DeviceStream stream) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return GateScoreOnDevice(args);
#endif
  return GateScore(backend, args, stream);
}

}  // namespace seer
