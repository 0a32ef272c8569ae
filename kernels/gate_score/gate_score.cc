#include "kernels/gate_score/gate_score.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread/executor.h"
#include "kernels/argument_checks.h"
#include "kernels/gate_score/cpu/gate_entries.h"
#include "kernels/gate_score/cpu/gate_logits.h"
#include "kernels/gate_score/reference/gate_score_reference.h"
#ifdef SEER_CUDA
#include "kernels/gate_score/cuda/gate_score_cuda.h"
#endif

namespace seer {
namespace {

absl::Status CheckGate(const GateScoreArgs& args) {
  const GateLayer& gate = args.gate;
  int32_t num_entry_heads = args.kv.num_kv_heads;
  if (!gate.mean_pool) {
    if (gate.linear_k == nullptr) {
      return absl::InvalidArgumentError("gate_score: no linear_k");
    }
    if (gate.query_pools.size() == 0 || gate.key_pools.size() == 0) {
      return absl::InvalidArgumentError("gate_score: an empty set of pools");
    }
    if (gate.linear_q == nullptr) {
      if (gate.query_pools.size() != 1) {
        return absl::InvalidArgumentError(
            "gate_score: several query pools need linear_q");
      }
      num_entry_heads = args.num_query_heads;
    }
    SEER_RETURN_IF_ERROR(CheckRopeShape(args.rope, args.kv.head_dim));
  }
  if (args.num_entry_heads != num_entry_heads) {
    return absl::InvalidArgumentError(
        absl::StrCat("gate_score: ", args.num_entry_heads,
                     " entry heads, want ", num_entry_heads));
  }
  return absl::OkStatus();
}

absl::Status CheckTensors(const GateScoreArgs& args) {
  if (args.num_scored_tiles < 0 || args.logits_row_len < 0 ||
      args.num_scored_tiles > args.batch.num_prompt_tiles) {
    return absl::InvalidArgumentError("gate_score: a count is out of range");
  }
  if (args.num_scored_tiles > 0 &&
      (args.tile_indices == nullptr || args.pooled_queries == nullptr ||
       args.key_entries == nullptr || args.logits == nullptr)) {
    return absl::InvalidArgumentError("gate_score: a tensor is missing");
  }
  return absl::OkStatus();
}

absl::Status CheckShapes(const GateScoreArgs& args) {
  SEER_RETURN_IF_ERROR(CheckPagedKv(args.kv));
  SEER_RETURN_IF_ERROR(CheckHeads(args.num_query_heads, args.kv.num_kv_heads));
  SEER_RETURN_IF_ERROR(CheckGate(args));
  return CheckTensors(args);
}

absl::Status CheckTiles(const GateScoreArgs& args) {
  int32_t previous = -1;
  for (int32_t i = 0; i < args.num_scored_tiles; ++i) {
    const int32_t index = args.tile_indices[i];
    if (index <= previous || index >= args.batch.num_prompt_tiles) {
      return absl::InvalidArgumentError(
          absl::StrCat("gate_score: tile_indices[", i, "] = ", index,
                       ", want ascending prompt tiles"));
    }
    if (VisibleBlocks(args.batch.tiles[index]) > args.logits_row_len) {
      return absl::InvalidArgumentError(
          absl::StrCat("gate_score: logits_row_len ", args.logits_row_len,
                       " is below the visible blocks of tile ", index));
    }
    previous = index;
  }
  return absl::OkStatus();
}

// A batch and tiles that are in host memory.
absl::Status CheckContents(const GateScoreArgs& args) {
  SEER_RETURN_IF_ERROR(CheckBatch(args.batch));
  SEER_RETURN_IF_ERROR(CheckTiles(args));
  if (!args.gate.mean_pool) {
    SEER_RETURN_IF_ERROR(
        CheckRopeTable(args.batch, args.rope, args.kv.head_dim));
  }
  return CheckPages(args.batch, args.kv.num_pages);
}

void GateScoreCpu(const GateScoreArgs& args, Executor& executor) {
  std::vector<float> query_entries(int64_t{args.num_scored_tiles} *
                                   args.num_query_heads * args.kv.head_dim);
  ComputeGateEntries(args, query_entries.data(), executor);
  ComputeGateLogits(args, query_entries.data(), executor);
}

}  // namespace

absl::Status GateScore(Backend backend, const GateScoreArgs& args,
                       DeviceStream stream) {
  SEER_RETURN_IF_ERROR(CheckShapes(args));
  if (backend != Backend::kCuda) SEER_RETURN_IF_ERROR(CheckContents(args));
  switch (backend) {
    case Backend::kReference:
      GateScoreReference(args);
      return absl::OkStatus();
    case Backend::kCpu:
      GateScoreCpu(args, ExecutorOf(stream));
      return absl::OkStatus();
    case Backend::kCuda:
#ifdef SEER_CUDA
      return GateScoreOnCuda(args, stream);
#else
      return absl::UnimplementedError("gate_score: built without CUDA");
#endif
  }
  return absl::InvalidArgumentError("gate_score: unknown backend");
}

int64_t GateScoreWorkspaceBytes(Backend backend, const GateScoreArgs& args) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return CudaGateScoreWorkspaceBytes(args);
#else
  (void)backend;
  (void)args;
#endif
  return 0;
}

}  // namespace seer
