// Ops on arguments in host memory, whichever backend runs them. A GPU gets
// copies and its results are copied back.
#ifndef SEER_TESTS_TESTING_KERNELS_HOST_CALLS_H_
#define SEER_TESTS_TESTING_KERNELS_HOST_CALLS_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/gate_score/gate_score.h"
#include "kernels/qk_prepare/qk_prepare.h"

namespace seer {

// `stream` is for the other backends.
absl::Status QkPrepareFromHost(Backend backend, const QkPrepareArgs& args,
                               DeviceStream stream = {});
absl::Status GateScoreFromHost(Backend backend, const GateScoreArgs& args,
                               DeviceStream stream = {});

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_HOST_CALLS_H_
