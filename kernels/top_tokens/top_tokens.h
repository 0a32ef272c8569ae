// The most likely tokens of rows of logits, so that a step on a GPU gives the
// host a few bytes a row in place of a vocabulary.
#ifndef SEER_KERNELS_TOP_TOKENS_TOP_TOKENS_H_
#define SEER_KERNELS_TOP_TOKENS_TOP_TOKENS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/dtype.h"

namespace seer {

constexpr int32_t kMaxTopTokens = 64;
// On kCuda num_top * vocab_size is no more, where num_top is above 1.
constexpr int64_t kMaxComparedTokens = 1 << 24;

// A row in which a logit is not finite gives ids -1, logits NaN and a NaN
// log_sum_exp; its scored token's rank is -1.
struct TopTokensArgs {
  DType dtype = DType::kBFloat16;  // of logits
  int64_t num_rows = 0;            // of results
  int32_t vocab_size = 0;
  const void* logits = nullptr;  // dtype [num_rows, vocab_size]

  // Where set, result i is of the row of logits that this names, and there may
  // be any number of rows; -1: of none, as of a row that is not finite.
  const int32_t* row_indices = nullptr;  // [num_rows]

  // 1..min(kMaxTopTokens, vocab_size).
  int32_t num_top = 1;
  // Out, highest logit first, ties to the lower id.
  int32_t* ids = nullptr;       // [num_rows, num_top]
  float* top_logits = nullptr;  // [num_rows, num_top]
  // Out, ln of the sum of e^logit over the row, or null: a token's
  // log-probability is its logit less this. Numerators and their sum are fp32.
  double* log_sum_exp = nullptr;  // [num_rows]

  // A token of each row, e.g. that which SampleTokens drew, or null. One that
  // is not in the vocabulary is none.
  const int32_t* scored_tokens = nullptr;  // [num_rows]
  // Out, with scored_tokens: its logit, NaN of none; and its rank, the number
  // of tokens with a higher logit or an equal one and a lower id, -1 of none.
  float* scored_logits = nullptr;   // [num_rows]
  int32_t* scored_ranks = nullptr;  // [num_rows]
};

// A result depends on its row and token alone. No workspace is needed.
// INVALID_ARGUMENT: a shape or a pointer. UNIMPLEMENTED: kCpu, where
// engine/sampler reads the logits; kCuda above
// kMaxComparedTokens.
absl::Status TopTokens(Backend backend, const TopTokensArgs& args,
                       DeviceStream stream);

}  // namespace seer

#endif  // SEER_KERNELS_TOP_TOKENS_TOP_TOKENS_H_
