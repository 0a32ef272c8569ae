#include "kernels/top_tokens/cuda/top_tokens_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/top_tokens/cuda/top_rows.h"

namespace seer {

absl::Status TopTokensOnCuda(const TopTokensArgs& args, DeviceStream stream) {
  constexpr int64_t kVectorBytes = 16;
  if (args.num_rows == 0) return absl::OkStatus();
  if (args.num_top > 1 &&
      int64_t{args.num_top} * args.vocab_size > kMaxComparedTokens) {
    return absl::UnimplementedError(
        absl::StrCat("top_tokens: ", args.num_top, " of ", args.vocab_size));
  }
  cuda::TopRowsParams params;
  params.dtype = args.dtype;
  params.by_vectors =
      args.vocab_size * SizeOf(args.dtype) % kVectorBytes == 0 &&
      reinterpret_cast<uintptr_t>(args.logits) % kVectorBytes == 0;
  params.num_rows = args.num_rows;
  params.vocab_size = args.vocab_size;
  params.logits = args.logits;
  params.row_indices = args.row_indices;
  params.num_top = args.num_top;
  params.ids = args.ids;
  params.top_logits = args.top_logits;
  params.log_sum_exp = args.log_sum_exp;
  params.scored_tokens = args.scored_tokens;
  params.scored_logits = args.scored_logits;
  params.scored_ranks = args.scored_ranks;
  return CudaStatus("top_tokens",
                    cuda::LaunchTopRows(params, stream.cuda_stream));
}

}  // namespace seer
