#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/prefill_kernel.cuh"

namespace seer {
namespace cuda {

cudaError_t LaunchPrefill(const PrefillParams& params, const PrefillMaps& maps,
                          int head_dim, cudaStream_t stream) {
  return head_dim == 128
             ? LaunchObserved<128>(params, maps, NoObserver(), stream)
             : LaunchObserved<64>(params, maps, NoObserver(), stream);
}

}  // namespace cuda
}  // namespace seer
