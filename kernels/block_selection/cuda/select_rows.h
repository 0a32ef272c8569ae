// Selection on a GPU: a warp chooses the blocks of one (tile, query head).
#ifndef SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECT_ROWS_H_
#define SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECT_ROWS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/block_selection/selection_rule.h"
#include "kernels/block_sets.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace cuda {

// BlockSelectionArgs without what needs Abseil; all pointers are the device's.
struct SelectRowsParams {
  RaggedBatch batch;
  const SelectionRule* rules = nullptr;
  int32_t num_query_heads = 0;
  const float* logits = nullptr;
  int32_t logits_row_len = 0;
  BlockSets sets;
  int64_t* num_selected = nullptr;
};

// The batch has prompt tiles.
cudaError_t LaunchSelectRows(const SelectRowsParams& params,
                             cudaStream_t stream);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_CUDA_SELECT_ROWS_H_
