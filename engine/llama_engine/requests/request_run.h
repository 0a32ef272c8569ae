// One admitted request, from Submit to its last event.
#ifndef SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_RUN_H_
#define SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_RUN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/event_stream/event_stream.h"
#include "engine/gate/policy/policy_resolver.h"
#include "engine/llama_engine/requests/choice_output.h"
#include "engine/model/batch/row_draw.h"
#include "engine/request.h"
#include "engine/sampler/sampler.h"
#include "engine/scheduler/admission.h"
#include "engine/scheduler/step_plan.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

// A token drawn from a row of logits.
struct DrawnToken {
  int32_t choice = 0;
  TokenId token = 0;
  std::optional<LogprobEntry> logprob;
};

// What one row of logits gave.
struct RowOutcome {
  absl::Status status;                       // an error ends the request
  std::optional<LogprobEntry> prompt_entry;  // of the prompt's next token
  std::vector<DrawnToken> drawn;             // by choice
  std::vector<float> first_distribution;     // [vocab_size], or empty: none
};

// Built by the submitter; from then on the engine thread's alone, but for
// Evaluate.
class RequestRun {
 public:
  struct Init {
    GenerationRequest request;  // checked; its seed set
    ResolvedPolicy policy;
    std::shared_ptr<const StopStrings> stop_strings;
    absl::Span<const TokenId> end_ids;  // the model's
    const Tokenizer* tokenizer = nullptr;
    int32_t num_layers = 0;
    absl::Time submit_time;
    Admission::Place place;
  };
  RequestRun(Init init, EventOutbox outbox);

  RequestRun(const RequestRun&) = delete;
  RequestRun& operator=(const RequestRun&) = delete;

  const GenerationRequest& request() const { return init_.request; }
  const ResolvedPolicy& policy() const { return init_.policy; }
  EventOutbox& outbox() { return outbox_; }

  // The ids of the slice's rows, as far as Apply has been told of them; valid
  // until the next Apply.
  absl::Span<const TokenId> TokensOf(const PlannedSlice& slice) const;
  // Whether any logits of the slice are needed, and of which rows.
  bool NeedsAllLogits(const PlannedSlice& slice) const;
  bool NeedsLastLogits(const PlannedSlice& slice) const;
  // Whether the host needs the last row's, whoever draws.
  bool WantsDistribution(const PlannedSlice& slice) const;

  // The alternatives of the most that a score of the request has.
  int32_t num_top() const;
  // Whether a draw follows from the tokens before it, beside the last one.
  bool PenalizesTokens() const;

  // The tokens to be drawn from the slice's last row, by choice: of all choices
  // at the prompt's end, of its own elsewhere; none where no logits are needed.
  // `num_unseen`: tokens of the choice that have been drawn and not applied.
  std::vector<RowDraw> DrawsOf(const PlannedSlice& slice,
                               int32_t num_unseen) const;

  // The prompt's tokens that the slice's rows are to score, from its first row
  // on.
  absl::Span<const TokenId> ScoredTokens(const PlannedSlice& slice) const;

  // Whether the slice is of a choice that has ended: what its rows give is of
  // no use.
  bool HasEnded(const PlannedSlice& slice) const {
    return !slice.is_prompt() && choices_[slice.choice].finished();
  }

  // What the logits [vocab_size] of the slice's row at `position` give. Any
  // thread, with a sampler of its own.
  RowOutcome Evaluate(const PlannedSlice& slice, int32_t position,
                      absl::Span<const float> logits, Sampler& sampler) const;

  // Of these, the row's distribution alone.
  static RowOutcome TakeDistribution(absl::Span<const float> logits);

  // The same of a device's draws: as Evaluate of the slice's last row. `scores`
  // are the tokens', where log-probabilities are asked for.
  RowOutcome TakeDrawn(const PlannedSlice& slice,
                       absl::Span<const TokenId> drawn,
                       absl::Span<const RowScore> scores) const;
  // Of a score of ScoredTokens: as Evaluate of its row.
  RowOutcome TakeScore(TokenId token, const RowScore& score) const;

  // The slice begins to be computed.
  void Start(absl::Time now);

  // The slice was computed at `now`: `outcomes` are its rows' in order, and
  // `blocks` [num_layers] what its tiles read. Pushes the events but the last
  // one. Returns the choices that ended. Error: the request must be failed.
  absl::StatusOr<std::vector<int32_t>> Apply(
      const PlannedSlice& slice, std::vector<RowOutcome> outcomes,
      absl::Span<const LayerBlocks> blocks, absl::Time now);

  // Every choice has ended: the summary is due.
  bool done() const { return done_; }
  int64_t num_output_tokens() const { return num_output_tokens_; }

  // The request has ended or is about to: it no longer waits for anything.
  void LeaveQueue() { init_.place = Admission::Place(); }

  // The last event, one of them. PushSummary only when done(). What is
  // undelivered stays to be read.
  void PushSummary();
  void Fail(absl::Status status);

 private:
  absl::Status Draw(int32_t choice, int64_t position,
                    absl::Span<const float> logits, Sampler& sampler,
                    RowOutcome& outcome) const;
  // Tokens that the choice may not have after `num_tokens`.
  absl::Span<const TokenId> Banned(int32_t num_tokens) const;
  std::vector<TokenAdjustment> AdjustmentsOf(int32_t choice,
                                             int32_t num_unseen) const;
  absl::StatusOr<LogprobEntry> EntryOf(TokenId token, const RowScore& score,
                                       int32_t num_top) const;
  void AddTexts(LogprobEntry& entry) const;
  void ApplyPrompt(const PlannedSlice& slice, std::vector<RowOutcome>& outcomes,
                   absl::Span<const LayerBlocks> blocks);

  Init init_;
  EventOutbox outbox_;
  StopConditions conditions_;
  std::vector<TokenId> banned_early_;  // before min_tokens
  std::vector<ChoiceOutput> choices_;
  SparsityReport report_;
  int64_t num_output_tokens_ = 0;
  int32_t num_finished_ = 0;
  bool done_ = false;
  std::optional<absl::Time> start_time_;        // of the first slice
  std::optional<absl::Time> first_token_time_;  // or the prompt's end
  absl::Time end_time_;                         // once done
};

// Those that have not ended.
using RequestRuns = std::map<RequestId, std::unique_ptr<RequestRun>>;

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_REQUESTS_REQUEST_RUN_H_
