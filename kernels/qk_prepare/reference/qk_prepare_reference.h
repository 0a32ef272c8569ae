#ifndef SEER_KERNELS_QK_PREPARE_REFERENCE_QK_PREPARE_REFERENCE_H_
#define SEER_KERNELS_QK_PREPARE_REFERENCE_QK_PREPARE_REFERENCE_H_

#include "kernels/qk_prepare/qk_prepare.h"

namespace seer {

// Defines QkPrepare's answer. `args` are valid, strides filled in.
void QkPrepareReference(const QkPrepareArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_QK_PREPARE_REFERENCE_QK_PREPARE_REFERENCE_H_
