// Attention of any shape on a GPU: fp32, and head sizes without a kernel of
// their own. Correct, in fp32 throughout, and slow: one warp a (row, head).
#ifndef SEER_KERNELS_ATTENTION_CUDA_GENERIC_H_
#define SEER_KERNELS_ATTENTION_CUDA_GENERIC_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/block_sets.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// AttentionArgs without what needs Abseil; all pointers are the device's.
struct GenericParams {
  RaggedBatch batch;
  int32_t num_query_heads = 0;
  const void* queries = nullptr;
  PagedKv kv;
  BlockSets sets;
  float scale = 0.0f;
  void* out = nullptr;  // or null
  float* log_sum_exp = nullptr;
};

cudaError_t LaunchGeneric(const GenericParams& params, DType dtype,
                          cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_GENERIC_H_
