// Which instructions the CPU attention is written for, and which of them the
// machine has.
#ifndef SEER_KERNELS_ATTENTION_CPU_INSTRUCTION_SET_H_
#define SEER_KERNELS_ATTENTION_CPU_INSTRUCTION_SET_H_

#include "kernels/dtype.h"

namespace seer {

// In ascending order of preference.
enum class InstructionSet {
  kBaseline,    // what the compiler may always use
  kAvx2,        // with FMA
  kAvx512,      // F, BW, CD, DQ, VL
  kAvx512Bf16,  // and the bf16 dot product; bf16 only
};

inline constexpr InstructionSet kInstructionSets[] = {
    InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512,
    InstructionSet::kAvx512Bf16};

const char* Name(InstructionSet set);

// Whether this machine and operating system run it. Thread-safe.
bool IsSupported(InstructionSet set);

// Whether there is a kernel for elements of `dtype` on it.
constexpr bool HasKernel(InstructionSet set, DType dtype) {
  return set != InstructionSet::kAvx512Bf16 || dtype == DType::kBFloat16;
}

// The most preferred one that the machine runs and that has a kernel.
InstructionSet BestInstructionSet(DType dtype);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_INSTRUCTION_SET_H_
