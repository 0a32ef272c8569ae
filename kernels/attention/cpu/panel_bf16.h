// Panels of bf16 with AVX512-BF16 dot products.
#ifndef SEER_KERNELS_ATTENTION_CPU_PANEL_BF16_H_
#define SEER_KERNELS_ATTENTION_CPU_PANEL_BF16_H_

#include "kernels/attention/cpu/panel.h"

namespace seer {

// The kernel for bf16 panels of this head_dim (even, <= 256). It may only be
// called where InstructionSet::kAvx512Bf16 is supported.
//
// Lanes hold query rows, so maxima and sums need no reduction across lanes:
// scores are K Q^T, with the keys read where they lie, two channels at a time,
// and outputs are V^T P^T, with the values of two tokens interleaved once per
// block for all the rows of the panel.
PanelKernel Bf16PanelKernel(int head_dim);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_PANEL_BF16_H_
