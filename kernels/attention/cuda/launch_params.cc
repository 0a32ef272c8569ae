#include "kernels/attention/cuda/launch_params.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace seer {
namespace cuda {
namespace {

int64_t NumPartialRows(const AttentionArgs& args) {
  return int64_t{args.plan.num_partial_tiles} * args.num_query_heads;
}

}  // namespace

bool HasFastKernel(const AttentionArgs& args) {
  return args.dtype == DType::kBFloat16 &&
         (args.kv.head_dim == 64 || args.kv.head_dim == 128);
}

absl::Status CheckPromptParts(const AttentionArgs& args) {
  const AttentionPlan& plan = args.plan;
  if (args.batch.num_prompt_tiles > 0 &&
      (plan.parts == nullptr || plan.num_parts < args.batch.num_prompt_tiles)) {
    return absl::InvalidArgumentError(
        absl::StrCat("attention: a plan of ", plan.num_parts, " parts for ",
                     args.batch.num_prompt_tiles, " prompt tiles"));
  }
  return absl::OkStatus();
}

PrefillParams DescribePrefill(const AttentionArgs& args) {
  PrefillParams p;
  p.parts = args.plan.parts;
  p.num_parts = args.plan.num_parts;
  p.num_split_parts = args.plan.num_partial_tiles;
  p.num_key_blocks = args.plan.num_key_blocks;
  p.num_query_heads = args.num_query_heads;
  p.num_kv_heads = args.kv.num_kv_heads;
  p.scale_log2 = args.scale * static_cast<float>(M_LOG2E);
  if (args.sets.bits != nullptr) {
    p.bits = reinterpret_cast<const uint32_t*>(args.sets.bits);
    p.counts = args.sets.counts;
    p.num_half_words = 2 * args.sets.num_words;
  }
  p.out = args.out;
  p.log_sum_exp = args.log_sum_exp;
  return p;
}

void PlaceCounters(const AttentionArgs& args, Placer* placer,
                   PrefillParams* params) {
  params->num_claimed = placer->Place<unsigned>(1);
  params->arrivals = placer->Place<unsigned>(NumPartialRows(args));
}

void PlacePartials(const AttentionArgs& args, Placer* placer,
                   PrefillParams* params) {
  const int64_t rows = NumPartialRows(args) * kBlockSize;
  params->partial_log2_sums = placer->Place<float>(rows);
  params->partial_outs = placer->Place<float>(rows * args.kv.head_dim);
}

GenericParams DescribeGeneric(const AttentionArgs& args) {
  GenericParams params;
  params.batch = args.batch;
  params.num_query_heads = args.num_query_heads;
  params.queries = args.queries;
  params.kv = args.kv;
  params.sets = args.sets;
  params.scale = args.scale;
  params.out = args.out;
  params.log_sum_exp = args.log_sum_exp;
  return params;
}

}  // namespace cuda
}  // namespace seer
