#include "kernels/attention_pooling/attention_pooling.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/attention/attention_checks.h"
#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention_pooling/cpu/attention_pooling_cpu.h"
#include "kernels/attention_pooling/reference/attention_pooling_reference.h"
#ifdef SEER_CUDA
#include "kernels/attention_pooling/cuda/attention_pooling_cuda.h"
#endif

namespace seer {
namespace {

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("attention_pooling: ", what));
}

absl::Status CheckPooling(const AttentionPoolingArgs& args) {
  const AttentionArgs& attention = args.attention;
  if (attention.sets.bits != nullptr || attention.sets.counts != nullptr) {
    return Invalid("attention is dense, but there are sets");
  }
  if (attention.batch.num_tiles != attention.batch.num_prompt_tiles) {
    return Invalid("generated tiles have no targets");
  }
  if (args.max_target == nullptr && args.mass_target == nullptr &&
      attention.batch.num_tiles > 0) {
    return Invalid("no target is wanted");
  }
  return absl::OkStatus();
}

// Of a batch in host memory.
absl::Status CheckRowLen(const AttentionPoolingArgs& args) {
  const RaggedBatch& batch = args.attention.batch;
  for (int32_t t = 0; t < batch.num_tiles; ++t) {
    if (VisibleBlocks(batch.tiles[t]) > args.row_len) {
      return Invalid(absl::StrCat("row_len ", args.row_len,
                                  " is below the visible blocks of tile ", t));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PoolAttention(Backend backend, const AttentionPoolingArgs& args,
                           DeviceStream stream) {
  SEER_RETURN_IF_ERROR(CheckAttentionArgs(backend, args.attention));
  SEER_RETURN_IF_ERROR(CheckPooling(args));
  if (backend != Backend::kCuda) SEER_RETURN_IF_ERROR(CheckRowLen(args));
  switch (backend) {
    case Backend::kReference:
      PoolAttentionReference(args, stream);
      return absl::OkStatus();
    case Backend::kCpu:
      PoolAttentionOnCpu(args, BestInstructionSet(args.attention.dtype),
                         stream);
      return absl::OkStatus();
    case Backend::kCuda:
#ifdef SEER_CUDA
      return PoolAttentionOnCuda(args, stream);
#else
      return absl::UnimplementedError("attention_pooling: built without CUDA");
#endif
  }
  return Invalid("unknown backend");
}

int64_t AttentionPoolingWorkspaceBytes(Backend backend,
                                       const AttentionPoolingArgs& args) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return CudaPoolingWorkspaceBytes(args);
#else
  (void)backend;
  (void)args;
#endif
  return 0;
}

}  // namespace seer
