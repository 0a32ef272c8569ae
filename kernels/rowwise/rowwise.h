// Small operations on rows of activations, each one pass over memory: what a
// GPU runs where the CPU's model calls ATen.
#ifndef SEER_KERNELS_ROWWISE_ROWWISE_H_
#define SEER_KERNELS_ROWWISE_ROWWISE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/dtype.h"

namespace seer {

// RMS norm (Zhang and Sennrich, "Root mean square layer normalization", 2019,
// arXiv:1910.07467) of the residual stream, to which the last block's output is
// added first:
//   x = x + addend
//   out = x / sqrt(mean(x^2) + epsilon) * weight
// Rounded as Hugging Face's LlamaRMSNorm is: the sum to dtype; the mean of the
// rounded sum's squares in fp32; the quotient to dtype; the product to dtype.
struct RmsNormArgs {
  DType dtype = DType::kBFloat16;
  int64_t num_rows = 0;
  int32_t width = 0;
  void* x = nullptr;             // dtype [num_rows, width], in and out
  const void* addend = nullptr;  // dtype [num_rows, width]; null: x stays
  const void* weight = nullptr;  // dtype [width]
  float epsilon = 0.0f;          // >= 0
  void* out = nullptr;           // out, dtype [num_rows, width]; may be addend
};

// out = silu(gate) * up, silu(z) = z / (1 + e^-z), in fp32; silu(gate) is
// rounded to dtype, then the product.
struct SiluMulArgs {
  DType dtype = DType::kBFloat16;
  int64_t num_rows = 0;
  int32_t width = 0;
  const void* gate_up = nullptr;  // dtype [num_rows, 2, width]: gate, then up
  void* out = nullptr;            // out, dtype [num_rows, width]
};

// out[i] = table[tokens[i]], the embeddings of tokens. A token below 0 is the
// one that an earlier call has drawn: drawn[-1 - tokens[i]], or 0 where that is
// below 0 itself, as it is where nothing could be drawn.
struct EmbedTokensArgs {
  DType dtype = DType::kBFloat16;
  int64_t num_rows = 0;
  int32_t width = 0;
  const void* table = nullptr;  // dtype [num_table_rows, width]
  int64_t num_table_rows = 0;
  const int32_t* tokens =
      nullptr;  // [num_rows], in [-num_drawn, num_table_rows)
  const int32_t* drawn = nullptr;  // [num_drawn], below num_table_rows
  int32_t num_drawn = 0;
  void* out = nullptr;  // out, dtype [num_rows, width]
};

// Any width is computed; multiples of 16 bytes at 16-byte aligned addresses are
// fast. A row's result depends on that row alone. No workspace is needed.
// INVALID_ARGUMENT: a shape or a pointer; a token, but for kCuda, which does
// not look at them. UNIMPLEMENTED: kCpu, whose model calls ATen; for RmsNorm on
// kCuda a width above 32768 bytes, or 2048 elements where it is not fast.
absl::Status RmsNorm(Backend backend, const RmsNormArgs& args,
                     DeviceStream stream);
absl::Status SiluMul(Backend backend, const SiluMulArgs& args,
                     DeviceStream stream);
absl::Status EmbedTokens(Backend backend, const EmbedTokensArgs& args,
                         DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_ROWWISE_ROWWISE_H_
