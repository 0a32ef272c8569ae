#include "kernels/attention/attention.h"

#include "base/status_macros.h"
#include "kernels/attention/attention_checks.h"
#include "kernels/attention/cpu/attention_cpu.h"
#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention/reference/attention_reference.h"
#ifdef SEER_CUDA
#include "kernels/attention/cuda/attention_cuda.h"
#endif

namespace seer {

absl::Status Attend(Backend backend, const AttentionArgs& args,
                    DeviceStream stream) {
  SEER_RETURN_IF_ERROR(CheckAttentionArgs(backend, args));
  if (args.batch.num_tiles > 0 && args.out == nullptr) {
    return absl::InvalidArgumentError("attention: no room for the result");
  }
  switch (backend) {
    case Backend::kReference:
      AttendReference(args, stream);
      return absl::OkStatus();
    case Backend::kCpu:
      AttendOnCpu(args, BestInstructionSet(args.dtype), stream);
      return absl::OkStatus();
    case Backend::kCuda:
#ifdef SEER_CUDA
      return AttendOnCuda(args, stream);
#else
      return absl::UnimplementedError("attention: built without CUDA");
#endif
  }
  return absl::InvalidArgumentError("attention: unknown backend");
}

int64_t AttentionWorkspaceBytes(Backend backend, const AttentionArgs& args) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return CudaAttentionWorkspaceBytes(args);
#else
  (void)backend;
  (void)args;
#endif
  return 0;
}

}  // namespace seer
