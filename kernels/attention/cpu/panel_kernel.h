// Which kernel runs panels.
#ifndef SEER_KERNELS_ATTENTION_CPU_PANEL_KERNEL_H_
#define SEER_KERNELS_ATTENTION_CPU_PANEL_KERNEL_H_

#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention/cpu/panel.h"
#include "kernels/attention/cpu/panel_bf16.h"
#include "kernels/attention/cpu/panel_float.h"

namespace seer {

// The kernel of this head_dim (even, <= 256) on an instruction set, for panels
// of a dtype that the set has a kernel for.
inline PanelKernel PanelKernelOf(InstructionSet instruction_set, int head_dim) {
  return instruction_set == InstructionSet::kAvx512Bf16
             ? Bf16PanelKernel(head_dim)
             : FloatPanelKernel(instruction_set, head_dim);
}

// What its BlockScores are in: the natural log of the base that is raised to
// them.
constexpr float ScoreUnitOf(InstructionSet instruction_set) {
  return instruction_set == InstructionSet::kAvx512Bf16 ? 0.693147180559945309f
                                                        : 1.0f;
}

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_PANEL_KERNEL_H_
