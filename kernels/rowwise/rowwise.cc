#include "kernels/rowwise/rowwise.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/rowwise/reference/rowwise_reference.h"
#ifdef SEER_CUDA
#include "kernels/rowwise/cuda/rowwise_cuda.h"
#endif

namespace seer {
namespace {

absl::Status Invalid(absl::string_view op, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(op, ": ", what));
}

absl::Status CheckShape(absl::string_view op, int64_t num_rows, int32_t width) {
  if (num_rows < 0 || num_rows > INT32_MAX || width < 1) {
    return Invalid(op, absl::StrCat(num_rows, " rows of ", width));
  }
  return absl::OkStatus();
}

absl::Status Check(const RmsNormArgs& args) {
  SEER_RETURN_IF_ERROR(CheckShape("rms_norm", args.num_rows, args.width));
  if (!std::isfinite(args.epsilon) || args.epsilon < 0.0f) {
    return Invalid("rms_norm", "epsilon below 0");
  }
  if (args.num_rows > 0 &&
      (args.x == nullptr || args.weight == nullptr || args.out == nullptr)) {
    return Invalid("rms_norm", "a tensor is missing");
  }
  return absl::OkStatus();
}

absl::Status Check(const SiluMulArgs& args) {
  SEER_RETURN_IF_ERROR(CheckShape("silu_mul", args.num_rows, args.width));
  if (args.num_rows > 0 && (args.gate_up == nullptr || args.out == nullptr)) {
    return Invalid("silu_mul", "a tensor is missing");
  }
  return absl::OkStatus();
}

absl::Status Check(const EmbedTokensArgs& args) {
  SEER_RETURN_IF_ERROR(CheckShape("embed_tokens", args.num_rows, args.width));
  if (args.num_rows > 0 && (args.table == nullptr || args.tokens == nullptr ||
                            args.out == nullptr)) {
    return Invalid("embed_tokens", "a tensor is missing");
  }
  if (args.num_drawn < 0 || (args.num_drawn > 0 && args.drawn == nullptr)) {
    return Invalid("embed_tokens", "the drawn tokens are missing");
  }
  return absl::OkStatus();
}

absl::Status CheckTokens(const EmbedTokensArgs& args) {
  for (int64_t i = 0; i < args.num_rows; ++i) {
    if (args.tokens[i] < -args.num_drawn ||
        args.tokens[i] >= args.num_table_rows) {
      return Invalid(
          "embed_tokens",
          absl::StrCat("token ", args.tokens[i], " of ", args.num_table_rows,
                       ", ", args.num_drawn, " drawn"));
    }
  }
  return absl::OkStatus();
}

absl::Status NotHere(absl::string_view op, Backend backend) {
  return absl::UnimplementedError(
      absl::StrCat(op, backend == Backend::kCuda ? ": built without CUDA"
                                                 : ": this backend has none"));
}

}  // namespace

absl::Status RmsNorm(Backend backend, const RmsNormArgs& args,
                     DeviceStream stream) {
  SEER_RETURN_IF_ERROR(Check(args));
  if (backend == Backend::kReference) {
    RmsNormReference(args);
    return absl::OkStatus();
  }
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return RmsNormOnCuda(args, stream);
#else
  (void)stream;
#endif
  return NotHere("rms_norm", backend);
}

absl::Status SiluMul(Backend backend, const SiluMulArgs& args,
                     DeviceStream stream) {
  SEER_RETURN_IF_ERROR(Check(args));
  if (backend == Backend::kReference) {
    SiluMulReference(args);
    return absl::OkStatus();
  }
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return SiluMulOnCuda(args, stream);
#else
  (void)stream;
#endif
  return NotHere("silu_mul", backend);
}

absl::Status EmbedTokens(Backend backend, const EmbedTokensArgs& args,
                         DeviceStream stream) {
  SEER_RETURN_IF_ERROR(Check(args));
  if (backend == Backend::kReference) {
    SEER_RETURN_IF_ERROR(CheckTokens(args));
    EmbedTokensReference(args);
    return absl::OkStatus();
  }
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return EmbedTokensOnCuda(args, stream);
#else
  (void)stream;
#endif
  return NotHere("embed_tokens", backend);
}

}  // namespace seer
