// The GPU backend of qk_prepare.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_QK_PREPARE_CUDA_H_
#define SEER_KERNELS_QK_PREPARE_CUDA_QK_PREPARE_CUDA_H_

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/qk_prepare/qk_prepare.h"

namespace seer {

// Enqueues QkPrepare, one kernel for the whole batch, of arguments whose host
// side QkPrepare has checked, strides filled in. Sums are the reference's bit
// for bit: the same operations in the same order, none fused.
absl::Status QkPrepareOnCuda(const QkPrepareArgs& args, DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_QK_PREPARE_CUDA_H_
