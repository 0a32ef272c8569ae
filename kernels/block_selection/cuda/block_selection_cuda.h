// The GPU backend of block selection.
#ifndef SEER_KERNELS_BLOCK_SELECTION_CUDA_BLOCK_SELECTION_CUDA_H_
#define SEER_KERNELS_BLOCK_SELECTION_CUDA_BLOCK_SELECTION_CUDA_H_

#include "absl/status/status.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/device.h"

namespace seer {

// Enqueues the selection of arguments whose host side SelectBlocks has checked;
// num_selected is added to.
absl::Status SelectBlocksOnCuda(const BlockSelectionArgs& args,
                                DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_CUDA_BLOCK_SELECTION_CUDA_H_
