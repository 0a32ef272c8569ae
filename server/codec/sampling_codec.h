#ifndef SEER_SERVER_CODEC_SAMPLING_CODEC_H_
#define SEER_SERVER_CODEC_SAMPLING_CODEC_H_

#include "absl/status/status.h"
#include "engine/request.h"
#include "proto/seer/v1/completion.pb.h"
#include "server/codec/request_context.h"

namespace seer {

// Parts of DecodeOptions (see request_codec.h), with its errors. Each fills the
// fields of `out` that it is named after.

// Sampling and the number of choices.
absl::Status DecodeSampling(const v1::CompleteRequest& request,
                            const RequestContext& context,
                            GenerationRequest& out);

// Stop strings, stop ids and ignore_eos. `out.sampling` must be decoded: a stop
// id that its logit_bias forbids is refused.
absl::Status DecodeStops(const v1::CompleteRequest& request,
                         const RequestContext& context, GenerationRequest& out);

absl::Status DecodeLogprobs(const v1::CompleteRequest& request,
                            const RequestLimits& limits,
                            GenerationRequest& out);

}  // namespace seer

#endif  // SEER_SERVER_CODEC_SAMPLING_CODEC_H_
