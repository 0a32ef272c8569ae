// What kernels over prompt tiles are launched with, from the arguments of
// attention: shared by the ops that compute it.
#ifndef SEER_KERNELS_ATTENTION_CUDA_LAUNCH_PARAMS_H_
#define SEER_KERNELS_ATTENTION_CUDA_LAUNCH_PARAMS_H_

#include "absl/status/status.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cuda/generic.h"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/cuda/placer.h"

namespace seer {
namespace cuda {

// Whether the arguments' dtype and head_dim are ones of LaunchPrefill.
bool HasFastKernel(const AttentionArgs& args);

// INVALID_ARGUMENT: the plan has not the parts of every prompt tile.
absl::Status CheckPromptParts(const AttentionArgs& args);

// All but what lies in the workspace.
PrefillParams DescribePrefill(const AttentionArgs& args);

// The parts of the workspace: counters, which are to be zero before the launch,
// and the rest.
void PlaceCounters(const AttentionArgs& args, Placer* placer,
                   PrefillParams* params);
void PlacePartials(const AttentionArgs& args, Placer* placer,
                   PrefillParams* params);

GenericParams DescribeGeneric(const AttentionArgs& args);

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_LAUNCH_PARAMS_H_
