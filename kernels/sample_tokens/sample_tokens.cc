#include "kernels/sample_tokens/sample_tokens.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/sample_tokens/reference/sample_tokens_reference.h"
#ifdef SEER_CUDA
#include "kernels/sample_tokens/cuda/sample_tokens_cuda.h"
#endif

namespace seer {
namespace {

absl::Status Check(const SampleTokensArgs& args) {
  if (args.num_rows < 0 || args.num_rows > INT32_MAX || args.vocab_size < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sample_tokens: ", args.num_rows, " rows of ", args.vocab_size));
  }
  if (args.num_draws < 0 || args.num_draws > INT32_MAX ||
      args.num_adjustments < 0 || args.num_adjustments > INT32_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("sample_tokens: ", args.num_draws, " draws with ",
                     args.num_adjustments, " adjustments"));
  }
  if ((args.num_rows > 0 && args.logits == nullptr) ||
      (args.num_draws > 0 && (args.draws == nullptr || args.ids == nullptr)) ||
      (args.num_adjustments > 0 && args.adjustments == nullptr)) {
    return absl::InvalidArgumentError("sample_tokens: a tensor is missing");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SampleTokens(Backend backend, const SampleTokensArgs& args,
                          DeviceStream stream) {
  SEER_RETURN_IF_ERROR(Check(args));
  switch (backend) {
    case Backend::kReference:
      SEER_RETURN_IF_ERROR(CheckDraws(args));
      SampleTokensReference(args);
      return absl::OkStatus();
    case Backend::kCpu:
      return absl::UnimplementedError("sample_tokens: the CPU has none");
    case Backend::kCuda:
#ifdef SEER_CUDA
      return SampleTokensOnCuda(args, stream);
#else
      (void)stream;
      return absl::UnimplementedError("sample_tokens: built without CUDA");
#endif
  }
  return absl::InvalidArgumentError("sample_tokens: unknown backend");
}

}  // namespace seer
