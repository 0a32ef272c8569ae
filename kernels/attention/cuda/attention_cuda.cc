#include "kernels/attention/cuda/attention_cuda.h"

#include <cuda_runtime_api.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/attention/cuda/decode.h"
#include "kernels/attention/cuda/generic.h"
#include "kernels/attention/cuda/launch_params.h"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/tensor_maps.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/placer.h"

namespace seer {
namespace {

int32_t NumGeneratedTiles(const AttentionArgs& args) {
  return args.batch.num_tiles - args.batch.num_prompt_tiles;
}

// What the fast kernels run on.
struct CudaPlan {
  cuda::PrefillParams prefill;
  cuda::DecodeParams decode;
  int64_t counter_bytes = 0;  // at the workspace's begin; to be zero
  int64_t bytes = 0;          // of the workspace
};

void DescribeDecode(const AttentionArgs& args, cuda::DecodeParams* p) {
  p->sequences = args.batch.sequences;
  p->tiles = args.batch.tiles + args.batch.num_prompt_tiles;
  p->num_tiles = NumGeneratedTiles(args);
  p->num_query_heads = args.num_query_heads;
  p->num_kv_heads = args.kv.num_kv_heads;
  p->scale_log2 = args.scale * static_cast<float>(M_LOG2E);
  // Parts grow with the blocks up to their largest number, then shrink again.
  p->max_parts = args.plan.max_generated_blocks >=
                         cuda::kMinDecodeBlocks * cuda::kMaxDecodeParts
                     ? cuda::kMaxDecodeParts
                     : cuda::NumDecodeParts(args.plan.max_generated_blocks);
  const int32_t rows =
      cuda::DecodeChunkRows(args.num_query_heads / args.kv.num_kv_heads);
  p->num_chunks = (args.plan.max_generated_rows + rows - 1) / rows;
  p->queries = args.queries;
  p->pages = args.kv.pages;
  p->out = args.out;
  p->log_sum_exp = args.log_sum_exp;
}

CudaPlan Plan(const AttentionArgs& args, void* workspace) {
  CudaPlan plan;
  plan.prefill = cuda::DescribePrefill(args);
  DescribeDecode(args, &plan.decode);
  const int64_t groups = NumDecodeGroups(plan.decode);
  const int64_t decode_rows =
      plan.decode.max_parts > 1
          ? groups * plan.decode.max_parts * cuda::kDecodeRows
          : 0;
  cuda::Placer placer(workspace);
  cuda::PlaceCounters(args, &placer, &plan.prefill);
  plan.decode.arrivals = placer.Place<unsigned>(groups);
  plan.counter_bytes = placer.bytes();
  cuda::PlacePartials(args, &placer, &plan.prefill);
  plan.decode.partial_log2_sums = placer.Place<float>(decode_rows);
  plan.decode.partial_outs =
      placer.Place<float>(decode_rows * args.kv.head_dim);
  plan.bytes = placer.bytes();
  return plan;
}

absl::Status AttendFast(const AttentionArgs& args, DeviceStream stream) {
  const CudaPlan plan = Plan(args, stream.workspace);
  if (stream.workspace == nullptr || stream.workspace_bytes < plan.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("attention: a workspace of ", stream.workspace_bytes,
                     " bytes, want ", plan.bytes));
  }
  SEER_RETURN_IF_ERROR(CudaStatus(
      "attention", cudaMemsetAsync(stream.workspace, 0, plan.counter_bytes,
                                   stream.cuda_stream)));
  if (args.batch.num_prompt_tiles > 0) {
    cuda::PrefillMaps maps;
    SEER_RETURN_IF_ERROR(
        cuda::EncodePrefillMaps(args.queries, args.batch.num_rows,
                                args.num_query_heads, args.kv, &maps));
    SEER_RETURN_IF_ERROR(CudaStatus(
        "attention", cuda::LaunchPrefill(plan.prefill, maps, args.kv.head_dim,
                                         stream.cuda_stream)));
  }
  if (NumGeneratedTiles(args) > 0) {
    SEER_RETURN_IF_ERROR(CudaStatus(
        "attention",
        cuda::LaunchDecode(plan.decode, args.kv.head_dim, stream.cuda_stream)));
  }
  return absl::OkStatus();
}

absl::Status CheckPlan(const AttentionArgs& args) {
  SEER_RETURN_IF_ERROR(cuda::CheckPromptParts(args));
  if (NumGeneratedTiles(args) > 0 && (args.plan.max_generated_blocks < 1 ||
                                      args.plan.max_generated_rows < 1)) {
    return absl::InvalidArgumentError(
        "attention: a plan without generated tiles for a batch with some");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AttendOnCuda(const AttentionArgs& args, DeviceStream stream) {
  if (args.batch.num_tiles == 0) return absl::OkStatus();
  if (!cuda::HasFastKernel(args)) {
    return CudaStatus("attention",
                      cuda::LaunchGeneric(cuda::DescribeGeneric(args),
                                          args.dtype, stream.cuda_stream));
  }
  SEER_RETURN_IF_ERROR(CheckPlan(args));
  return AttendFast(args, stream);
}

int64_t CudaAttentionWorkspaceBytes(const AttentionArgs& args) {
  return cuda::HasFastKernel(args) ? Plan(args, nullptr).bytes : 0;
}

}  // namespace seer
