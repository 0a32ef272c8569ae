#include "kernels/rowwise/cuda/rowwise_cuda.h"

#include <cuda_runtime_api.h>

#include <cstdint>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/rowwise/cuda/embed_tokens.h"
#include "kernels/rowwise/cuda/rms_norm.h"
#include "kernels/rowwise/cuda/silu_mul.h"

namespace seer {
namespace {

constexpr int64_t kVectorBytes = 16;

// Whether rows of `row_bytes`, one after the other from each of the addresses
// on, are whole aligned vectors. Null addresses are not looked at.
bool AreVectors(int64_t row_bytes, std::initializer_list<const void*> bases) {
  if (row_bytes % kVectorBytes != 0) return false;
  for (const void* base : bases) {
    if (reinterpret_cast<uintptr_t>(base) % kVectorBytes != 0) return false;
  }
  return true;
}

}  // namespace

absl::Status RmsNormOnCuda(const RmsNormArgs& args, DeviceStream stream) {
  if (args.num_rows == 0) return absl::OkStatus();
  const int64_t row_bytes = int64_t{args.width} * SizeOf(args.dtype);
  cuda::RmsNormParams params;
  params.dtype = args.dtype;
  params.by_vectors =
      AreVectors(row_bytes, {args.x, args.addend, args.weight, args.out});
  params.num_rows = args.num_rows;
  params.width = args.width;
  params.x = args.x;
  params.addend = args.addend;
  params.weight = args.weight;
  params.epsilon = args.epsilon;
  params.out = args.out;
  const int64_t unit_bytes =
      params.by_vectors ? kVectorBytes : SizeOf(args.dtype);
  if (row_bytes > cuda::kMaxNormUnits * unit_bytes) {
    return absl::UnimplementedError(
        absl::StrCat("rms_norm: a width of ", args.width));
  }
  return CudaStatus("rms_norm",
                    cuda::LaunchRmsNorm(params, stream.cuda_stream));
}

absl::Status SiluMulOnCuda(const SiluMulArgs& args, DeviceStream stream) {
  if (args.num_rows == 0) return absl::OkStatus();
  cuda::SiluMulParams params;
  params.dtype = args.dtype;
  params.by_vectors = AreVectors(int64_t{args.width} * SizeOf(args.dtype),
                                 {args.gate_up, args.out});
  params.num_rows = args.num_rows;
  params.width = args.width;
  params.gate_up = args.gate_up;
  params.out = args.out;
  return CudaStatus("silu_mul",
                    cuda::LaunchSiluMul(params, stream.cuda_stream));
}

absl::Status EmbedTokensOnCuda(const EmbedTokensArgs& args,
                               DeviceStream stream) {
  if (args.num_rows == 0) return absl::OkStatus();
  cuda::EmbedTokensParams params;
  params.row_bytes = int64_t{args.width} * SizeOf(args.dtype);
  params.by_vectors = AreVectors(params.row_bytes, {args.table, args.out});
  params.num_rows = args.num_rows;
  params.table = args.table;
  params.tokens = args.tokens;
  params.drawn = args.drawn;
  params.out = args.out;
  return CudaStatus("embed_tokens",
                    cuda::LaunchEmbedTokens(params, stream.cuda_stream));
}

}  // namespace seer
