#include "kernels/sample_tokens/cuda/sample_tokens_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/sample_tokens/cuda/draw_rows.h"

namespace seer {

absl::Status SampleTokensOnCuda(const SampleTokensArgs& args,
                                DeviceStream stream) {
  constexpr int64_t kVectorBytes = 16;
  if (args.num_draws == 0) return absl::OkStatus();
  if (args.vocab_size > kMaxSampledVocabulary) {
    return absl::UnimplementedError(
        absl::StrCat("sample_tokens: a vocabulary of ", args.vocab_size));
  }
  cuda::DrawRowsParams params;
  params.dtype = args.dtype;
  params.by_vectors =
      args.vocab_size * SizeOf(args.dtype) % kVectorBytes == 0 &&
      reinterpret_cast<uintptr_t>(args.logits) % kVectorBytes == 0;
  params.vocab_size = args.vocab_size;
  params.logits = args.logits;
  params.num_draws = args.num_draws;
  params.draws = args.draws;
  params.adjustments = args.adjustments;
  params.ids = args.ids;
  return CudaStatus("sample_tokens",
                    cuda::LaunchDrawRows(params, stream.cuda_stream));
}

}  // namespace seer
