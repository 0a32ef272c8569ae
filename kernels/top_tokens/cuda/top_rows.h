// The highest logits of rows on a GPU: a thread block a row.
#ifndef SEER_KERNELS_TOP_TOKENS_CUDA_TOP_ROWS_H_
#define SEER_KERNELS_TOP_TOKENS_CUDA_TOP_ROWS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace seer {
namespace cuda {

// TopTokensArgs without what needs Abseil; all pointers are the device's.
struct TopRowsParams {
  DType dtype = DType::kBFloat16;
  bool by_vectors = false;  // rows and `logits` allow 16-byte accesses
  int64_t num_rows = 0;     // 1..2^31 - 1
  int32_t vocab_size = 0;
  const void* logits = nullptr;
  const int32_t* row_indices = nullptr;
  int32_t num_top = 1;  // if above 1, times vocab_size at most 2^24
  int32_t* ids = nullptr;
  float* top_logits = nullptr;
  double* log_sum_exp = nullptr;
  const int32_t* scored_tokens = nullptr;
  float* scored_logits = nullptr;
  int32_t* scored_ranks = nullptr;
};

cudaError_t LaunchTopRows(const TopRowsParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_TOP_TOKENS_CUDA_TOP_ROWS_H_
