// Panels in fp32 arithmetic with portable vectors.
#ifndef SEER_KERNELS_ATTENTION_CPU_PANEL_FLOAT_H_
#define SEER_KERNELS_ATTENTION_CPU_PANEL_FLOAT_H_

#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention/cpu/panel.h"

namespace seer {

// The kernel for panels of either dtype and this head_dim (even, <= 256),
// compiled for `instruction_set` (kAvx512Bf16: as kAvx512). bf16 queries, keys
// and values become fp32 where they are read; probabilities stay fp32.
//
// Lanes hold query rows, as in the bf16 kernel.
PanelKernel FloatPanelKernel(InstructionSet instruction_set, int head_dim);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_PANEL_FLOAT_H_
