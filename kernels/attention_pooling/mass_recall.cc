#include "kernels/attention_pooling/mass_recall.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread/executor.h"
#include "kernels/argument_checks.h"
#include "kernels/attention_pooling/reference/mass_recall_reference.h"
#ifdef SEER_CUDA
#include "kernels/attention_pooling/cuda/attention_pooling_cuda.h"
#endif

namespace seer {
namespace {

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("mass_recall: ", what));
}

absl::Status CheckShapes(const MassRecallArgs& args) {
  if (args.batch.num_tiles != args.batch.num_prompt_tiles) {
    return Invalid("generated tiles have no sets");
  }
  if (args.num_query_heads < 1) return Invalid("num_query_heads below 1");
  if (args.sets.num_query_heads != args.num_query_heads) {
    return Invalid(absl::StrCat("sets of ", args.sets.num_query_heads,
                                " heads for ", args.num_query_heads));
  }
  if (args.batch.num_tiles > 0 &&
      (args.mass == nullptr || args.recall == nullptr ||
       args.sets.bits == nullptr || args.sets.counts == nullptr)) {
    return Invalid("a tensor is missing");
  }
  return absl::OkStatus();
}

// Of a batch in host memory.
absl::Status CheckTiles(const MassRecallArgs& args) {
  SEER_RETURN_IF_ERROR(CheckBatch(args.batch));
  for (int32_t t = 0; t < args.batch.num_tiles; ++t) {
    const int32_t visible = VisibleBlocks(args.batch.tiles[t]);
    if (visible > args.row_len || visible > int64_t{args.sets.num_words} * 64) {
      return Invalid(absl::StrCat("tile ", t, " sees ", visible,
                                  " blocks: rows or sets are too short"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MassRecall(Backend backend, const MassRecallArgs& args,
                        DeviceStream stream) {
  SEER_RETURN_IF_ERROR(CheckShapes(args));
  if (backend != Backend::kCuda) SEER_RETURN_IF_ERROR(CheckTiles(args));
  switch (backend) {
    case Backend::kReference:
    case Backend::kCpu:  // there is nothing to be faster at
      MassRecallReference(args, ExecutorOf(stream));
      return absl::OkStatus();
    case Backend::kCuda:
#ifdef SEER_CUDA
      return MassRecallOnCuda(args, stream);
#else
      return absl::UnimplementedError("mass_recall: built without CUDA");
#endif
  }
  return Invalid("unknown backend");
}

}  // namespace seer
