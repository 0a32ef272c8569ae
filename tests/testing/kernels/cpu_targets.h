// Runs Highway kernels on every instruction set of this machine, not only on
// its widest.
#ifndef SEER_TESTS_TESTING_KERNELS_CPU_TARGETS_H_
#define SEER_TESTS_TESTING_KERNELS_CPU_TARGETS_H_

#include "absl/functional/function_ref.h"

namespace seer {

// Calls fn once for each instruction set that this machine has, while kernels
// dispatch to it; then restores the choice. Its name is given for messages.
// One caller at a time.
void ForEachCpuTarget(absl::FunctionRef<void(const char* name)> fn);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CPU_TARGETS_H_
