#include "kernels/attention_pooling/cuda/attention_pooling_cuda.h"

#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/attention/cuda/launch_params.h"
#include "kernels/attention/cuda/tensor_maps.h"
#include "kernels/attention_pooling/cuda/plain.h"
#include "kernels/attention_pooling/cuda/pool_logs.h"
#include "kernels/attention_pooling/cuda/pooled_prefill.h"
#include "kernels/attention_pooling/cuda/recall.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/placer.h"

namespace seer {
namespace {

// What the fast kernels run on.
struct PoolingPlan {
  cuda::PrefillParams prefill;
  cuda::RowLogs logs;
  int64_t counter_bytes = 0;  // at the workspace's begin; to be zero
  int64_t bytes = 0;          // of the workspace
};

PoolingPlan Plan(const AttentionPoolingArgs& args, void* workspace) {
  const AttentionArgs& attention = args.attention;
  PoolingPlan plan;
  plan.prefill = cuda::DescribePrefill(attention);
  cuda::Placer placer(workspace);
  cuda::PlaceCounters(attention, &placer, &plan.prefill);
  plan.counter_bytes = placer.bytes();
  cuda::PlacePartials(attention, &placer, &plan.prefill);
  const int64_t items =
      int64_t{attention.batch.num_tiles} * attention.num_query_heads;
  plan.logs.parts =
      placer.Place<float>(items * kMaxPromptParts * cuda::RowLogs::kFloats);
  plan.logs.blocks =
      placer.Place<float>(items * args.row_len * cuda::RowLogs::kFloats);
  plan.logs.num_query_heads = attention.num_query_heads;
  plan.logs.row_len = args.row_len;
  plan.bytes = placer.bytes();
  return plan;
}

absl::Status ToStatus(cudaError_t error) {
  return CudaStatus("attention_pooling", error);
}

absl::Status PoolFast(const AttentionPoolingArgs& args, DeviceStream stream) {
  const AttentionArgs& attention = args.attention;
  SEER_RETURN_IF_ERROR(cuda::CheckPromptParts(attention));
  const PoolingPlan plan = Plan(args, stream.workspace);
  if (stream.workspace == nullptr || stream.workspace_bytes < plan.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("attention_pooling: a workspace of ",
                     stream.workspace_bytes, " bytes, want ", plan.bytes));
  }
  cuda::PrefillMaps maps;
  SEER_RETURN_IF_ERROR(
      cuda::EncodePrefillMaps(attention.queries, attention.batch.num_rows,
                              attention.num_query_heads, attention.kv, &maps));
  SEER_RETURN_IF_ERROR(ToStatus(cudaMemsetAsync(
      stream.workspace, 0, plan.counter_bytes, stream.cuda_stream)));
  SEER_RETURN_IF_ERROR(ToStatus(
      cuda::LaunchPooledPrefill(plan.prefill, maps, plan.logs,
                                attention.kv.head_dim, stream.cuda_stream)));
  cuda::PoolLogsParams pool;
  pool.parts = attention.plan.parts;
  pool.num_parts = attention.plan.num_parts;
  pool.logs = plan.logs;
  pool.max_target = args.max_target;
  pool.mass_target = args.mass_target;
  return ToStatus(cuda::LaunchPoolLogs(pool, stream.cuda_stream));
}

absl::Status PoolPlainly(const AttentionPoolingArgs& args,
                         DeviceStream stream) {
  cuda::PlainPoolParams params;
  params.attention = cuda::DescribeGeneric(args.attention);
  params.max_target = args.max_target;
  params.mass_target = args.mass_target;
  params.row_len = args.row_len;
  const DType dtype = args.attention.dtype;
  SEER_RETURN_IF_ERROR(ToStatus(
      cuda::LaunchGeneric(params.attention, dtype, stream.cuda_stream)));
  return ToStatus(cuda::LaunchPlainPool(params, dtype, stream.cuda_stream));
}

}  // namespace

absl::Status PoolAttentionOnCuda(const AttentionPoolingArgs& args,
                                 DeviceStream stream) {
  if (args.attention.batch.num_tiles == 0) return absl::OkStatus();
  return cuda::HasFastKernel(args.attention) ? PoolFast(args, stream)
                                             : PoolPlainly(args, stream);
}

absl::Status MassRecallOnCuda(const MassRecallArgs& args, DeviceStream stream) {
  cuda::RecallParams params;
  params.tiles = args.batch.tiles;
  params.num_tiles = args.batch.num_tiles;
  params.num_query_heads = args.num_query_heads;
  params.mass = args.mass;
  params.row_len = args.row_len;
  params.bits = reinterpret_cast<const uint32_t*>(args.sets.bits);
  params.counts = args.sets.counts;
  params.num_half_words = 2 * args.sets.num_words;
  params.recall = args.recall;
  return ToStatus(cuda::LaunchRecall(params, stream.cuda_stream));
}

int64_t CudaPoolingWorkspaceBytes(const AttentionPoolingArgs& args) {
  return cuda::HasFastKernel(args.attention) ? Plan(args, nullptr).bytes : 0;
}

}  // namespace seer
