// Draws tokens from rows of logits, so that a step on a GPU gives the host a
// few bytes a token in place of a vocabulary.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_SAMPLE_TOKENS_H_
#define SEER_KERNELS_SAMPLE_TOKENS_SAMPLE_TOKENS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {

struct SampleTokensArgs {
  DType dtype = DType::kBFloat16;  // of logits
  int64_t num_rows = 0;
  int32_t vocab_size = 0;
  const void* logits = nullptr;  // dtype [num_rows, vocab_size]

  // Idle draws may fill it up, e.g. to the size of a recorded graph.
  int64_t num_draws = 0;
  const TokenDraw* draws = nullptr;  // [num_draws]
  // The draws' ranges of it may overlap. Null: no draw has any. kCuda does not
  // read their number, which a recorded call need not know.
  const TokenAdjustment* adjustments = nullptr;  // [num_adjustments]
  int64_t num_adjustments = 0;

  // Out; -1 where a logit of the row is not finite, where every token is
  // banned, and of idle draws. May be the next step's EmbedTokensArgs::drawn
  // and TopTokensArgs::scored_tokens.
  int32_t* ids = nullptr;  // [num_draws]
};

// For each draw:
// - logits are adjusted: the bias is added, the sum rounded to fp32; of a token
//   with a count >= 0 the logit is divided by repetition_penalty if above 0,
//   else multiplied; with a count > 0, presence_penalty and count times
//   frequency_penalty are subtracted; the result is rounded to fp32. Both
//   roundings are to a finite number;
// - temperature 0: the highest, ties to the lower id. Otherwise probabilities
//   are the softmax of logit / temperature;
// - tokens in order of logit, ties to the lower id: top_k keeps the first k;
//   top_p of what top_k kept, renormalised, the shortest beginning that reaches
//   top_p; min_p those of at least min_p times the first's probability. The
//   first is always kept;
// - `uniform` picks from what is left, renormalised: in that order if there is
//   a top_k below vocab_size, a top_p or a min_p, else in order of id.
//
// kReference computes in double. kCuda counts weights e^((logit - max) /
// temperature) in units of 2^-43, each from an fp32 exponential, and adds these
// exactly: what it draws depends on nothing but the row and the draw. A token
// below half a unit is never drawn.
//
// No workspace is needed. INVALID_ARGUMENT: a shape or a pointer; kReference:
// also what CheckDraws refuses. kCuda does not look into what is in device
// memory: draws and adjustments, before they went there, are as CheckDraws
// wants them. UNIMPLEMENTED: kCpu, where engine/sampler draws; kCuda where
// vocab_size is above kMaxSampledVocabulary.
absl::Status SampleTokens(Backend backend, const SampleTokensArgs& args,
                          DeviceStream stream);

// INVALID_ARGUMENT, naming the draw, unless draws and adjustments, which are in
// host memory, are as token_draw.h says. Of `args`, logits and ids are not
// read. Linear in adjustments and, for each draw that has any, vocab_size / 8.
absl::Status CheckDraws(const SampleTokensArgs& args);

}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_SAMPLE_TOKENS_H_
