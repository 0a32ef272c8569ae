#include "kernels/block_selection/block_selection.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"
#include "kernels/block_selection/cpu/block_selection_cpu.h"
#include "kernels/block_selection/reference/block_selection_reference.h"
#ifdef SEER_CUDA
#include "kernels/block_selection/cuda/block_selection_cuda.h"
#endif

namespace seer {
namespace {

absl::Status CheckRule(const SelectionRule& rule, int32_t num_query_heads) {
  using Kind = SelectionRule::Kind;
  if (rule.sink_blocks < 0 || rule.sink_blocks > 16 ||
      rule.dense_last_blocks < 0) {
    return absl::InvalidArgumentError(
        "sink_blocks outside 0..16 or dense_last_blocks below 0");
  }
  switch (rule.kind) {
    case Kind::kAll:
      return absl::OkStatus();
    case Kind::kTopK:
      if (rule.top_k < 1) return absl::InvalidArgumentError("top_k below 1");
      return absl::OkStatus();
    case Kind::kThreshold:
      if (!(rule.threshold > 0.0f) || !(rule.threshold < 1.0f)) {
        return absl::InvalidArgumentError("threshold outside (0, 1)");
      }
      return absl::OkStatus();
    case Kind::kRowBudget:
      if (rule.row_budgets == nullptr) {
        return absl::InvalidArgumentError("no row_budgets");
      }
      for (int32_t head = 0; head < num_query_heads; ++head) {
        if (rule.row_budgets[head] < 0) {
          return absl::InvalidArgumentError("a row budget below 0");
        }
      }
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("unknown kind");
}

absl::Status CheckTile(const BlockSelectionArgs& args, int32_t index) {
  const Tile& tile = args.batch.tiles[index];
  const SelectionRule& rule = args.rules[tile.sequence];
  const auto fail = [index](const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("block_selection: tile ", index, ": ", what));
  };
  if (VisibleBlocks(tile) > int64_t{args.sets.num_words} * 64) {
    return fail("num_words does not cover the visible blocks");
  }
  if (rule.kind == SelectionRule::Kind::kAll) return absl::OkStatus();
  if (rule.num_prompt_tiles !=
      NumBlocks(args.batch.sequences[tile.sequence].prompt_len)) {
    return fail("num_prompt_tiles is not the prompt's");
  }
  if (args.logits == nullptr || VisibleBlocks(tile) > args.logits_row_len) {
    return fail("logits do not cover the visible blocks");
  }
  return absl::OkStatus();
}

// What is not behind a pointer.
absl::Status CheckShapes(const BlockSelectionArgs& args) {
  if (args.num_query_heads < 1 ||
      args.sets.num_query_heads != args.num_query_heads) {
    return absl::InvalidArgumentError("block_selection: num_query_heads");
  }
  if (args.batch.num_prompt_tiles == 0) return absl::OkStatus();
  if (args.rules == nullptr || args.sets.bits == nullptr ||
      args.sets.counts == nullptr) {
    return absl::InvalidArgumentError("block_selection: no rules or no sets");
  }
  return absl::OkStatus();
}

// The rules and the tiles, in host memory, against each other and the shapes.
absl::Status CheckTiles(const BlockSelectionArgs& args) {
  int32_t checked = -1;
  for (int32_t i = 0; i < args.batch.num_prompt_tiles; ++i) {
    const int32_t sequence = args.batch.tiles[i].sequence;
    if (sequence != checked) {
      const absl::Status status =
          CheckRule(args.rules[sequence], args.num_query_heads);
      if (!status.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("block_selection: rule of sequence ", sequence, ": ",
                         status.message()));
      }
      checked = sequence;
    }
    SEER_RETURN_IF_ERROR(CheckTile(args, i));
  }
  return absl::OkStatus();
}

void AddSelected(const BlockSelectionArgs& args) {
  for (int64_t tile = 0; tile < args.batch.num_prompt_tiles; ++tile) {
    int64_t& sum = args.num_selected[args.batch.tiles[tile].sequence];
    for (int64_t head = 0; head < args.num_query_heads; ++head) {
      sum += args.sets.counts[args.sets.Row(tile, head)];
    }
  }
}

}  // namespace

absl::Status SelectBlocks(Backend backend, const BlockSelectionArgs& args,
                          DeviceStream stream) {
  const bool in_host_memory = backend != Backend::kCuda;
  if (in_host_memory) SEER_RETURN_IF_ERROR(CheckBatch(args.batch));
  SEER_RETURN_IF_ERROR(CheckShapes(args));
  if (in_host_memory) SEER_RETURN_IF_ERROR(CheckTiles(args));
  switch (backend) {
    case Backend::kReference:
      SelectBlocksReference(args);
      break;
    case Backend::kCpu:
      SelectBlocksCpu(args, ExecutorOf(stream));
      break;
    case Backend::kCuda:
#ifdef SEER_CUDA
      return SelectBlocksOnCuda(args, stream);
#else
      return absl::UnimplementedError("block_selection: built without CUDA");
#endif
    default:
      return absl::InvalidArgumentError("block_selection: unknown backend");
  }
  if (args.num_selected != nullptr) AddSelected(args);
  return absl::OkStatus();
}

}  // namespace seer
