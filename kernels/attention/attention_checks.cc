#include "kernels/attention/attention_checks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"

namespace seer {
namespace {

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("attention: ", what));
}

absl::Status CheckShapes(const AttentionArgs& args) {
  const PagedKv& kv = args.kv;
  SEER_RETURN_IF_ERROR(CheckHeads(args.num_query_heads, kv.num_kv_heads));
  if (kv.dtype != args.dtype) return Invalid("kv has another dtype");
  if (kv.head_dim < 1) return Invalid("head_dim below 1");
  if (kv.head_dim > kMaxHeadDim || kv.head_dim % 2 != 0) {
    return absl::UnimplementedError(absl::StrCat(
        "attention: head_dim ", kv.head_dim, ", want even, 2..", kMaxHeadDim));
  }
  if (!std::isfinite(args.scale) || args.scale <= 0.0f) {
    return Invalid(absl::StrCat("scale ", args.scale, ", want it positive"));
  }
  return absl::OkStatus();
}

absl::Status CheckTensors(const AttentionArgs& args) {
  if (args.batch.num_tiles == 0) return absl::OkStatus();
  if (args.queries == nullptr || args.kv.pages == nullptr) {
    return Invalid("a tensor is missing");
  }
  return absl::OkStatus();
}

absl::Status CheckSets(const AttentionArgs& args) {
  const BlockSets& sets = args.sets;
  if (sets.bits == nullptr) return absl::OkStatus();
  if (sets.counts == nullptr) return Invalid("sets without counts");
  if (sets.num_query_heads != args.num_query_heads) {
    return Invalid(absl::StrCat("sets of ", sets.num_query_heads, " heads for ",
                                args.num_query_heads));
  }
  return absl::OkStatus();
}

// That the sets have room for what the batch, in host memory, sees.
absl::Status CheckSetsCover(const AttentionArgs& args) {
  const BlockSets& sets = args.sets;
  if (sets.bits == nullptr) return absl::OkStatus();
  int32_t visible = 0;
  for (int32_t t = 0; t < args.batch.num_prompt_tiles; ++t) {
    visible = std::max(visible, VisibleBlocks(args.batch.tiles[t]));
  }
  if (int64_t{sets.num_words} * 64 < visible) {
    return Invalid(absl::StrCat("sets of ", sets.num_words, " words for ",
                                visible, " blocks"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAttentionArgs(Backend backend, const AttentionArgs& args) {
  const bool in_host_memory = backend != Backend::kCuda;
  if (in_host_memory) SEER_RETURN_IF_ERROR(CheckBatch(args.batch));
  SEER_RETURN_IF_ERROR(CheckShapes(args));
  SEER_RETURN_IF_ERROR(CheckTensors(args));
  SEER_RETURN_IF_ERROR(CheckSets(args));
  if (!in_host_memory) return absl::OkStatus();
  SEER_RETURN_IF_ERROR(CheckPages(args.batch, args.kv.num_pages));
  return CheckSetsCover(args);
}

}  // namespace seer
