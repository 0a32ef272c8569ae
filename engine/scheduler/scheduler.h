// First come, first served continuous batching with chunked prefill over
// reserved pages. Knows lengths, never tokens: no model, no gate.
//
// A loop of the engine thread:
//
//   scheduler.Add(id, {prompt_len, max_tokens, num_choices});
//   const StepPlan& plan = scheduler.Plan();
//   ... run it, or hand it to what runs one after the other ...
//   scheduler.Commit();
//   ... when it has run, draw a token for each row that gives one ...
//   for (each choice that is done) scheduler.FinishChoice(id, choice);
//
// See docs/design/scheduler.md for the rules and why.
#ifndef SEER_ENGINE_SCHEDULER_SCHEDULER_H_
#define SEER_ENGINE_SCHEDULER_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/scheduler/sequence_lengths.h"
#include "engine/scheduler/step_cost.h"
#include "engine/scheduler/step_plan.h"

namespace seer {

struct SchedulerOptions {
  // Rows of a step, prompt and generated together.
  int64_t max_step_tokens = 1024;
  // Prompt chunks are cut so that a step is predicted to take no longer; but a
  // step with no prompt rows yet always gets 64 of them.
  absl::Duration step_time = absl::InfiniteDuration();
  // Sequences that run at once; a request counts one for each of its choices.
  int64_t max_running = 256;
  // Every prompt chunk but a prompt's last has exactly this many tokens, so a
  // request that runs alone is computed in the same steps each time, however
  // long they take. Unset: chunks take what the step has left.
  std::optional<int64_t> fixed_chunk_tokens;

  // INVALID_ARGUMENT unless max_running >= 1, step_time is positive,
  // fixed_chunk_tokens is a positive multiple of 64, and a step has room for
  // every running sequence's row and one chunk (of 64 tokens if not fixed):
  // then neither starves the other.
  absl::Status Validate() const;
};

// Not thread-safe: called by the engine thread. A plan is open from Plan() to
// Commit(). A request or choice that ends meanwhile is skipped by Commit, but
// its pages are free and its spans gone: do not run the plan after that.
class Scheduler {
 public:
  // `options` must be valid; `pages` must outlive this. Who else takes pages
  // out of it takes none when waits_for_pages, and gives them back when they
  // are all that is missing (PagesMissing).
  Scheduler(const SchedulerOptions& options, PageAllocator* pages);
  ~Scheduler();

  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // OK if such a request can ever run here. INVALID_ARGUMENT: a length out of
  // range; more choices than max_running; more pages than there are, with
  // reason CONTEXT_TOO_LONG (limit and got in tokens). Thread-safe.
  absl::Status CheckRunnable(const SequenceLengths& lengths) const;

  // Puts a request at the end of the line. Errors of CheckRunnable;
  // ALREADY_EXISTS.
  absl::Status Add(RequestId id, const SequenceLengths& lengths);

  // Drops a request, waiting or running, and frees its pages at once. False:
  // there is none (it may have ended already).
  bool Remove(RequestId id);

  // A choice has its last token: frees what it alone held. With the request's
  // last choice the request ends, as by Remove. False: no such choice runs.
  bool FinishChoice(RequestId id, int32_t choice);

  // A held request keeps its place and pages but gets no rows: for a reader
  // that has fallen behind. No effect on a request that is not there.
  void SetHeld(RequestId id, bool held);

  // Starts the requests that fit, in order of arrival, and chooses the next
  // step's rows. The plan can be read until the next call; its page tables,
  // until Commit. Empty: nothing to compute (no requests, all held, or all
  // waiting for FinishChoice). Calling it again without Commit abandons the
  // open plan: its rows were not computed and come again.
  const StepPlan& Plan();

  // Other work has this share of the device's time between steps, in [0, 1):
  // steps planned from now on get the rest of step_time. At first 0.
  void SetShareBesideSteps(double share) { share_beside_steps_ = share; }

  // A step of such work took so long: later predictions take it in.
  void RecordStepTime(const StepWork& work, absl::Duration duration);

  // The open plan was computed, or will be before the next one is. A request
  // whose prompt is now whole has one undetermined token a choice: the engine
  // draws it, and each later step computes that token's row and gives the
  // logits for the next. A choice that has drawn max_tokens gets no rows; a
  // scored prompt (max_tokens 0) neither.
  void Commit();

  // At the last Plan the first in line would have started, but for pages.
  bool waits_for_pages() const { return waits_for_pages_; }
  // Pages that now have to become free for the first in line to start, if it
  // waits_for_pages; 0: none, the next Plan finds enough.
  int64_t PagesMissing() const;
  // Started, with pages; false: waiting, or not there.
  bool IsRunning(RequestId id) const;
  int64_t num_requests_running() const { return running_.size(); }
  int64_t num_requests_waiting() const { return waiting_.size(); }
  int64_t num_sequences_running() const { return num_sequences_running_; }
  // Prompt tokens not yet computed, of all requests.
  int64_t backlog_tokens() const { return backlog_tokens_; }

 private:
  struct Sequence;
  struct Request;
  struct PendingCopy;
  struct PromptRoom {
    absl::Duration step_time;  // that the step is to take at most
    // Prompt tokens of the step before: the first behind them come anyway.
    int64_t num_planned = 0;
  };

  // Moves requests from waiting to running while they fit.
  void StartWaiting();
  // Counts the rows that running choices are ready to compute as work of the
  // plan.
  void CountDecodeRows();
  // How long a step that may take `step_time` may become with prompts of the
  // background.
  absl::Duration BackgroundStepTime(absl::Duration step_time) const;
  // Appends chunks of prompts, of the background or all others, first come
  // first served, within the step's rows and `step_time`; their work is
  // counted.
  void PlanPrompts(bool is_background, absl::Duration step_time);
  // The tokens of the request's prompt that the step has room for, their work
  // counted; 0: none.
  int64_t TakeChunk(const Request& request, const PromptRoom& room);
  // Counts the work of `num_tokens` rows of the prompt, after the `skipped`
  // that come next, if the step has room for them.
  bool TakeRows(const Request& request, int64_t skipped, int64_t num_tokens,
                const PromptRoom& room);
  void PlanDecodeRows();
  void AppendSlice(Request& request, int32_t choice, int64_t num_tokens);
  // Gives the other choices their tables once choice 0 has the whole prompt.
  void SharePrompt(Request& request);
  void ReleaseChoice(Request& request, int32_t choice);
  Request* Find(RequestId id) const;

  const SchedulerOptions options_;
  PageAllocator* const pages_;
  absl::flat_hash_map<RequestId, Request*> requests_;
  std::deque<std::unique_ptr<Request>> waiting_;   // in order of arrival
  std::vector<std::unique_ptr<Request>> running_;  // in order of arrival
  std::vector<PendingCopy> pending_copies_;        // made by the next step
  StepCostModel costs_;
  StepPlan plan_;
  bool plan_open_ = false;
  bool waits_for_pages_ = false;
  double share_beside_steps_ = 0.0;
  int64_t num_sequences_running_ = 0;
  int64_t backlog_tokens_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_SCHEDULER_SCHEDULER_H_
