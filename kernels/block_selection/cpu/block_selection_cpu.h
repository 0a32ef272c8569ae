#ifndef SEER_KERNELS_BLOCK_SELECTION_CPU_BLOCK_SELECTION_CPU_H_
#define SEER_KERNELS_BLOCK_SELECTION_CPU_BLOCK_SELECTION_CPU_H_

#include "base/thread/executor.h"
#include "kernels/block_selection/block_selection.h"

namespace seer {

// SelectBlocks, threaded over tiles. Equal to the reference, ties and NaN
// included: logits are compared as integers that are in their order. A row
// takes at most 32 counting passes over its keys. `args` are valid;
// num_selected is not written.
void SelectBlocksCpu(const BlockSelectionArgs& args, Executor& executor);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_CPU_BLOCK_SELECTION_CPU_H_
