// The mass inside block sets on a GPU.
#ifndef SEER_KERNELS_ATTENTION_POOLING_CUDA_RECALL_H_
#define SEER_KERNELS_ATTENTION_POOLING_CUDA_RECALL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// MassRecallArgs without what needs Abseil, the sets' words halved; all
// pointers are the device's.
struct RecallParams {
  const Tile* tiles = nullptr;
  int32_t num_tiles = 0;
  int32_t num_query_heads = 0;
  const float* mass = nullptr;
  int32_t row_len = 0;
  const uint32_t* bits = nullptr;  // [tiles, Hq, num_half_words]
  const int32_t* counts = nullptr;
  int32_t num_half_words = 0;
  float* recall = nullptr;
};

cudaError_t LaunchRecall(const RecallParams& params, cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_POOLING_CUDA_RECALL_H_
