#ifndef SEER_KERNELS_BLOCK_SELECTION_REFERENCE_BLOCK_SELECTION_REFERENCE_H_
#define SEER_KERNELS_BLOCK_SELECTION_REFERENCE_BLOCK_SELECTION_REFERENCE_H_

#include "kernels/block_selection/block_selection.h"

namespace seer {

// Defines SelectBlocks' sets. `args` are valid; num_selected is not written.
void SelectBlocksReference(const BlockSelectionArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_BLOCK_SELECTION_REFERENCE_BLOCK_SELECTION_REFERENCE_H_
