// Draws from rows of logits on a GPU: a thread block a draw.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_ROWS_H_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_ROWS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {
namespace cuda {

// SampleTokensArgs without what needs Abseil; all pointers are the device's.
struct DrawRowsParams {
  DType dtype = DType::kBFloat16;
  bool by_vectors = false;  // rows and `logits` allow 16-byte accesses
  int32_t vocab_size = 0;   // at most kMaxSampledVocabulary
  const void* logits = nullptr;
  int64_t num_draws = 0;  // 1..2^31 - 1
  const TokenDraw* draws = nullptr;
  const TokenAdjustment* adjustments = nullptr;
  int32_t* ids = nullptr;
};

cudaError_t LaunchDrawRows(const DrawRowsParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_DRAW_ROWS_H_
