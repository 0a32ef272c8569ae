// The output of one choice: tokens in, events out.
#ifndef SEER_ENGINE_LLAMA_ENGINE_REQUESTS_CHOICE_OUTPUT_H_
#define SEER_ENGINE_LLAMA_ENGINE_REQUESTS_CHOICE_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "engine/request.h"
#include "engine/sampler/token_history.h"
#include "engine/token.h"
#include "engine/tokenizer/incremental_decoder.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

// What ends a choice; one for all choices of a request.
struct StopConditions {
  absl::flat_hash_set<TokenId> end_ids;   // the model's; none: they are ignored
  absl::flat_hash_set<TokenId> stop_ids;  // the request's
  std::shared_ptr<const StopStrings> stop_strings;  // never null
  int32_t min_tokens = 0;  // nothing but max_tokens ends it before this many
  int32_t max_tokens = 0;
};

// Not thread-safe.
class ChoiceOutput {
 public:
  // `tokenizer` and `conditions` are borrowed.
  ChoiceOutput(int32_t index, const Tokenizer* tokenizer,
               const StopConditions* conditions, TokenHistory history);

  struct Step {
    DeltaEvent delta;
    std::optional<FinishEvent> finish;  // the choice has ended
  };
  // The next token, with its log-probability if asked for. Special tokens,
  // and the token that ends the choice, add no text.
  Step Push(TokenId token, std::optional<LogprobEntry> logprob);

  bool finished() const { return finished_; }
  int32_t num_tokens() const { return num_tokens_; }
  const TokenId& last_token() const { return last_token_; }
  const TokenHistory& history() const { return history_; }

 private:
  // Adds the part of `text` that may be given out to `out`; true: a stop
  // string appeared.
  bool AddText(const std::string& text, FinishEvent& finish, std::string& out);
  // What the decoder and the matcher still hold.
  bool AddRest(FinishEvent& finish, std::string& out);

  const int32_t index_;
  const StopConditions* const conditions_;
  TokenHistory history_;
  IncrementalDecoder decoder_;
  StopStringMatcher matcher_;
  int32_t num_tokens_ = 0;
  TokenId last_token_ = 0;
  bool finished_ = false;
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_REQUESTS_CHOICE_OUTPUT_H_
