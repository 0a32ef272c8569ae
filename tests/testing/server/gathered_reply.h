// One request's whole answer, as a patient reader sees it.
#ifndef SEER_TESTS_TESTING_SERVER_GATHERED_REPLY_H_
#define SEER_TESTS_TESTING_SERVER_GATHERED_REPLY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/token.h"

namespace seer {

struct GatheredReply {
  struct Choice {
    std::string text;
    std::vector<TokenId> token_ids;
    std::vector<LogprobEntry> logprobs;
    std::optional<FinishEvent> finish;
  };

  std::vector<Event> events;                  // all, in order
  std::vector<Choice> choices;                // by index
  std::vector<LogprobEntry> prompt_logprobs;  // of prompt tokens 1, 2, ...
  std::vector<float> first_distribution;      // empty: none
  std::optional<SummaryEvent> summary;
  absl::Status status;  // of a failure, or DEADLINE_EXCEEDED: no last event
};

// Reads the stream to its last event, waiting at most `timeout` in all.
GatheredReply Gather(TokenStream& stream,
                     absl::Duration timeout = absl::Minutes(5));

// Submits the request and gathers; an error of Submit is the reply's status.
GatheredReply Complete(Engine& engine, GenerationRequest request);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SERVER_GATHERED_REPLY_H_
