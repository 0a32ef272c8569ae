#ifndef SEER_KERNELS_CUDA_CUDA_STATUS_H_
#define SEER_KERNELS_CUDA_CUDA_STATUS_H_

#include <cuda_runtime_api.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace seer {

// What a call of the CUDA runtime returned, with `op` before its words. Also
// forgets the error, so that the next call tells of its own alone.
// RESOURCE_EXHAUSTED: the GPU has no memory left; launches say so too, where a
// kernel is loaded by its first one. INTERNAL: any other error.
absl::Status CudaStatus(absl::string_view op, cudaError_t error);

}  // namespace seer

#endif  // SEER_KERNELS_CUDA_CUDA_STATUS_H_
