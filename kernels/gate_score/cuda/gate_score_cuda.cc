#include "kernels/gate_score/cuda/gate_score_cuda.h"

#include <cuda_runtime_api.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/gate_score/cuda/entries.h"
#include "kernels/gate_score/cuda/gate_params.h"
#include "kernels/gate_score/cuda/logits.h"
#include "kernels/gate_score/cuda/plain.h"

namespace seer {
namespace {

cuda::EntryPools ToEntryPools(const GateLayer& gate, const PoolSet& set,
                              const void* weights) {
  cuda::EntryPools pools;
  if (gate.mean_pool) {
    pools.kinds[pools.num_kinds++] = kPoolRopedSum;
    return pools;
  }
  if (set.max) pools.kinds[pools.num_kinds++] = kPoolMax;
  if (set.min) pools.kinds[pools.num_kinds++] = kPoolMin;
  if (set.avg) pools.kinds[pools.num_kinds++] = kPoolSum;
  pools.weights = weights;
  return pools;
}

cuda::GateParams ToParams(const GateScoreArgs& args, void* workspace) {
  const GateLayer& gate = args.gate;
  cuda::GateParams params;
  params.batch = args.batch;
  params.num_query_heads = args.num_query_heads;
  params.num_kv_heads = args.kv.num_kv_heads;
  params.num_entry_heads = args.num_entry_heads;
  params.head_dim = args.kv.head_dim;
  params.tile_indices = args.tile_indices;
  params.num_scored_tiles = args.num_scored_tiles;
  params.query_pools = ToEntryPools(gate, gate.query_pools, gate.linear_q);
  params.key_pools = ToEntryPools(gate, gate.key_pools, gate.linear_k);
  params.pooled_queries = args.pooled_queries;
  params.pooled_keys = args.kv.pooled_keys;
  if (!gate.mean_pool) {
    params.cos = args.rope.cos;
    params.sin = args.rope.sin;
  }
  params.query_entries = workspace;
  params.key_entries = args.key_entries;
  params.logits = args.logits;
  params.logits_row_len = args.logits_row_len;
  params.scale = 1.0f / std::sqrt(static_cast<float>(args.kv.head_dim));
  return params;
}

bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

bool HasFastKernel(const GateScoreArgs& args) {
  return args.dtype == DType::kBFloat16 &&
         (args.kv.head_dim == 64 || args.kv.head_dim == 128) &&
         IsAligned(args.gate.linear_q) && IsAligned(args.gate.linear_k) &&
         IsAligned(args.pooled_queries) && IsAligned(args.kv.pooled_keys) &&
         IsAligned(args.rope.cos) && IsAligned(args.rope.sin) &&
         IsAligned(args.key_entries);
}

}  // namespace

absl::Status GateScoreOnCuda(const GateScoreArgs& args, DeviceStream stream) {
  if (args.num_scored_tiles == 0) return absl::OkStatus();
  const int64_t bytes = CudaGateScoreWorkspaceBytes(args);
  if (stream.workspace == nullptr || stream.workspace_bytes < bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("gate_score: a workspace of ", stream.workspace_bytes,
                     " bytes, want ", bytes));
  }
  const cuda::GateParams params = ToParams(args, stream.workspace);
  if (HasFastKernel(args)) {
    SEER_RETURN_IF_ERROR(CudaStatus(
        "gate_score", cuda::LaunchEntries(params, stream.cuda_stream)));
    return CudaStatus("gate_score",
                      cuda::LaunchLogits(params, stream.cuda_stream));
  }
  SEER_RETURN_IF_ERROR(CudaStatus(
      "gate_score",
      cuda::LaunchPlainEntries(params, args.dtype, stream.cuda_stream)));
  return CudaStatus("gate_score", cuda::LaunchPlainLogits(params, args.dtype,
                                                          stream.cuda_stream));
}

int64_t CudaGateScoreWorkspaceBytes(const GateScoreArgs& args) {
  return int64_t{args.num_scored_tiles} * args.num_query_heads *
         args.kv.head_dim * SizeOf(args.dtype);
}

}  // namespace seer
