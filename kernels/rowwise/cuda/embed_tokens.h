// Rows of a table, by token, on a GPU.
#ifndef SEER_KERNELS_ROWWISE_CUDA_EMBED_TOKENS_H_
#define SEER_KERNELS_ROWWISE_CUDA_EMBED_TOKENS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace seer {
namespace cuda {

// EmbedTokensArgs without what needs Abseil; all pointers are the device's.
struct EmbedTokensParams {
  bool by_vectors = false;  // rows and addresses allow 16-byte accesses
  int64_t num_rows = 0;     // 1..2^31 - 1
  int64_t row_bytes = 0;    // a multiple of 2
  const void* table = nullptr;
  const int32_t* tokens = nullptr;
  const int32_t* drawn = nullptr;
  void* out = nullptr;
};

cudaError_t LaunchEmbedTokens(const EmbedTokensParams& params,
                              cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_CUDA_EMBED_TOKENS_H_
