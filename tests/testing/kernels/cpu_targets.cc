#include "tests/testing/kernels/cpu_targets.h"

#include <cstdint>

#include "hwy/targets.h"

namespace seer {

void ForEachCpuTarget(absl::FunctionRef<void(const char* name)> fn) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    fn(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace seer
