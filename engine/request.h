// A generation request as the engine takes it, and the events it answers with.
// Plain values: nothing of the wire, of torch or of the scheduler.
#ifndef SEER_ENGINE_REQUEST_H_
#define SEER_ENGINE_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/sparsity_policy.h"
#include "engine/token.h"

namespace seer {

// Order of operations on the logits: logit_bias, penalties, temperature,
// top_k, top_p, min_p; then a draw. temperature 0 is greedy (ties to the lower
// id) and reads none of top_k, top_p, min_p, seed.
struct SamplingOptions {
  double temperature = 1.0;         // [0, 2]
  double top_p = 1.0;               // (0, 1]
  int32_t top_k = 0;                // 0: off
  double min_p = 0.0;               // [0, 1): of the most likely token's prob
  double repetition_penalty = 1.0;  // (0, 2]: on prompt and output tokens
  double presence_penalty = 0.0;    // [-2, 2]: on output tokens
  double frequency_penalty = 0.0;   // [-2, 2]: on output tokens
  std::optional<uint64_t> seed;     // unset: drawn by the engine, reported
  std::vector<std::pair<TokenId, float>> logit_bias;  // [-100, 100]
};

enum class Priority {
  // A client's word, which orders nothing yet.
  kHigh,
  kNormal,
  kLow,
  // No client's: takes no place in the limits of admission and does not count
  // as waiting, so that nobody is refused for it. Its prompt is computed beside
  // others' rows at the pace that these leave; its pages it holds like any
  // other's, and its caller sees to it that there are few such requests.
  kBackground,
};

struct GenerationRequest {
  // Server-made, [a-z0-9-]{1,63}; decides whether the request tries the canary.
  std::string request_id;
  std::string client_request_id;          // the caller's, for logs only
  std::vector<TokenId> prompt;            // >= 1 token
  int32_t max_tokens = 0;                 // new tokens a choice; 0: score only
  int32_t min_tokens = 0;                 // no stop before; <= max_tokens
  int32_t num_choices = 1;                // n
  std::vector<std::string> stop_strings;  // never part of the output
  std::vector<TokenId> stop_ids;          // beside the model's end tokens
  bool ignore_eos = false;
  SamplingOptions sampling;
  std::optional<int32_t> num_logprobs;  // alternatives per output token, >= 0
  std::optional<int32_t> num_prompt_logprobs;  // per prompt token, >= 0
  std::optional<SparsityPolicy> policy;        // unset: the engine's default
  bool wants_first_distribution = false;       // FirstDistributionEvent
  Priority priority = Priority::kNormal;
  absl::Time deadline = absl::InfiniteFuture();
};

// One token of a distribution, log-probability in nats.
struct TokenLogprob {
  TokenId id = 0;
  std::string text;  // the token's bytes; may be a part of a UTF-8 sequence
  double logprob = 0.0;
};

// The chosen (or given) token and the most likely alternatives, best first.
// Log-probabilities are of the model's own distribution: before logit_bias,
// penalties and temperature.
struct LogprobEntry {
  TokenLogprob token;
  int64_t rank = 0;  // 1: the most likely
  std::vector<TokenLogprob> top;
};

// The request runs or waits; first event of every admitted request.
struct AcceptedEvent {
  int64_t queue_position = 0;  // requests ahead of it
  std::string gate = {};       // EffectivePolicy::gate and ::gate_version
  std::string gate_version = {};
};
struct PromptProgressEvent {
  int64_t total = 0;      // prompt tokens
  int64_t cached = 0;     // of these, taken from the prefix cache
  int64_t processed = 0;  // computed or cached so far
};
// Log-probabilities of prompt tokens [start, start + entries.size()), each
// given the tokens before it. Token 0 has none: start is at least 1.
struct PromptLogprobsEvent {
  int64_t start = 0;
  std::vector<LogprobEntry> entries;
};
// The model's own distribution of the first new token, before logit_bias,
// penalties and temperature: one for all choices, and given with max_tokens 0
// too. Comes before the first token's deltas; not at all where a logit is not
// finite. An event stream does not count its bytes.
struct FirstDistributionEvent {
  std::vector<float> logprobs;  // [vocab_size], nats
};
struct DeltaEvent {
  int32_t index = 0;  // choice
  std::string text;   // valid UTF-8; may be empty while bytes are held back
  std::vector<TokenId> token_ids;
  std::vector<LogprobEntry> logprobs;  // one a token, if asked for
};
enum class FinishReason { kStop, kLength, kEndOfText };
struct FinishEvent {
  int32_t index = 0;
  FinishReason reason = FinishReason::kLength;
  std::string stop_string;            // kStop by a stop string
  std::optional<TokenId> stop_token;  // kStop by a stop id
};
// Last event of a request that succeeded.
struct SummaryEvent {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;           // over all choices
  absl::Duration queue_time;           // submit to first slice
  absl::Duration prefill_time;         // first slice to first token
  absl::Duration decode_time;          // first token to last
  absl::Duration time_to_first_token;  // submit to first token
  uint64_t seed = 0;                   // the one used
  SparsityReport sparsity;
};
// Last event of a request that did not: CANCELLED, DEADLINE_EXCEEDED,
// RESOURCE_EXHAUSTED (slow reader, OUT_OF_MEMORY), UNAVAILABLE (drained),
// INTERNAL.
struct FailureEvent {
  absl::Status status;
};

using Event = std::variant<AcceptedEvent, PromptProgressEvent,
                           PromptLogprobsEvent, FirstDistributionEvent,
                           DeltaEvent, FinishEvent, SummaryEvent, FailureEvent>;

// True for the last event of a stream.
inline bool IsLast(const Event& event) {
  return std::holds_alternative<SummaryEvent>(event) ||
         std::holds_alternative<FailureEvent>(event);
}

}  // namespace seer

#endif  // SEER_ENGINE_REQUEST_H_
