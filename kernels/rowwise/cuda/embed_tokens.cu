#include "kernels/rowwise/cuda/embed_tokens.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kThreads = 256;

// Blocks: (row, kThreads of its units).
template <class Unit>
__global__ void __launch_bounds__(kThreads)
    EmbedTokensKernel(const __grid_constant__ EmbedTokensParams p) {
  const int64_t num_units = p.row_bytes / int64_t{sizeof(Unit)};
  const int64_t at = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (at >= num_units) return;
  const int64_t row = blockIdx.x;
  int64_t token = p.tokens[row];
  if (token < 0) token = max(0, p.drawn[-1 - token]);
  static_cast<Unit*>(p.out)[row * num_units + at] =
      static_cast<const Unit*>(p.table)[token * num_units + at];
}

template <class Unit>
void Launch(const EmbedTokensParams& params, cudaStream_t stream) {
  const int64_t num_units = params.row_bytes / int64_t{sizeof(Unit)};
  const dim3 grid(static_cast<unsigned>(params.num_rows),
                  static_cast<unsigned>((num_units + kThreads - 1) / kThreads));
  EmbedTokensKernel<Unit><<<grid, kThreads, 0, stream>>>(params);
}

}  // namespace

cudaError_t LaunchEmbedTokens(const EmbedTokensParams& params,
                              cudaStream_t stream) {
  if (params.by_vectors) {
    Launch<uint4>(params, stream);
  } else {
    Launch<uint16_t>(params, stream);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
