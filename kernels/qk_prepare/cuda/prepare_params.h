// QkPrepareArgs without what needs Abseil, for the GPU's kernels.
#ifndef SEER_KERNELS_QK_PREPARE_CUDA_PREPARE_PARAMS_H_
#define SEER_KERNELS_QK_PREPARE_CUDA_PREPARE_PARAMS_H_

#include <cstdint>

#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// All pointers are the device's; strides are filled in.
struct PrepareParams {
  RaggedBatch batch;
  int32_t num_query_heads = 0;

  const void* queries = nullptr;
  const void* keys = nullptr;
  const void* values = nullptr;
  int64_t query_row_stride = 0;
  int64_t key_row_stride = 0;
  int64_t value_row_stride = 0;
  const float* cos = nullptr;  // [positions, D / 2]
  const float* sin = nullptr;  // [positions, D / 2]

  void* roped_queries = nullptr;
  PagedKv kv;
  float* pooled_queries = nullptr;  // or null
};

// A tile has a column for each query head, KV head's keys and KV head's
// values: 64 rows of D channels.
constexpr int32_t NumColumns(const PrepareParams& p) {
  return p.num_query_heads + 2 * p.kv.num_kv_heads;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CUDA_PREPARE_PARAMS_H_
