#include "kernels/attention/cpu/instruction_set.h"

#include "hwy/targets.h"

namespace seer {

const char* Name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kBaseline:
      return "baseline";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
    case InstructionSet::kAvx512Bf16:
      return "avx512_bf16";
  }
  return "unknown";
}

bool IsSupported(InstructionSet set) {
  const int64_t targets = hwy::SupportedTargets();
  switch (set) {
    case InstructionSet::kBaseline:
      return true;
    case InstructionSet::kAvx2:
      return (targets & HWY_AVX2) != 0;
    case InstructionSet::kAvx512:
      return (targets & HWY_AVX3) != 0;
    case InstructionSet::kAvx512Bf16:
      return (targets & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

InstructionSet BestInstructionSet(DType dtype) {
  InstructionSet best = InstructionSet::kBaseline;
  for (const InstructionSet set : kInstructionSets) {
    if (HasKernel(set, dtype) && IsSupported(set)) best = set;
  }
  return best;
}

}  // namespace seer
