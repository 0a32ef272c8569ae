#ifndef SEER_KERNELS_QK_PREPARE_CPU_QK_PREPARE_CPU_H_
#define SEER_KERNELS_QK_PREPARE_CPU_QK_PREPARE_CPU_H_

#include "base/thread/executor.h"
#include "kernels/qk_prepare/qk_prepare.h"

namespace seer {

// QkPrepare, vectorized over channels and threaded over tiles. Equal to the
// reference bit for bit: the same operations in the same order, none fused.
// `args` are valid, strides filled in; no two tiles share a page.
void QkPrepareCpu(const QkPrepareArgs& args, Executor& executor);

}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_CPU_QK_PREPARE_CPU_H_
