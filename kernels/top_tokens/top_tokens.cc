#include "kernels/top_tokens/top_tokens.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/top_tokens/reference/top_tokens_reference.h"
#ifdef SEER_CUDA
#include "kernels/top_tokens/cuda/top_tokens_cuda.h"
#endif

namespace seer {
namespace {

absl::Status Check(const TopTokensArgs& args) {
  if (args.num_rows < 0 || args.num_rows > INT32_MAX || args.vocab_size < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "top_tokens: ", args.num_rows, " rows of ", args.vocab_size));
  }
  if (args.num_top < 1 || args.num_top > kMaxTopTokens ||
      args.num_top > args.vocab_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("top_tokens: num_top ", args.num_top));
  }
  if (args.num_rows > 0 && (args.logits == nullptr || args.ids == nullptr ||
                            args.top_logits == nullptr)) {
    return absl::InvalidArgumentError("top_tokens: a tensor is missing");
  }
  if (args.num_rows > 0 && args.scored_tokens != nullptr &&
      (args.scored_logits == nullptr || args.scored_ranks == nullptr)) {
    return absl::InvalidArgumentError("top_tokens: no place for scores");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TopTokens(Backend backend, const TopTokensArgs& args,
                       DeviceStream stream) {
  SEER_RETURN_IF_ERROR(Check(args));
  switch (backend) {
    case Backend::kReference:
      TopTokensReference(args);
      return absl::OkStatus();
    case Backend::kCpu:
      return absl::UnimplementedError("top_tokens: the CPU has none");
    case Backend::kCuda:
#ifdef SEER_CUDA
      return TopTokensOnCuda(args, stream);
#else
      (void)stream;
      return absl::UnimplementedError("top_tokens: built without CUDA");
#endif
  }
  return absl::InvalidArgumentError("top_tokens: unknown backend");
}

}  // namespace seer
