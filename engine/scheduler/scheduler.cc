#include "engine/scheduler/scheduler.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Of the time of a step that has other work, what prompts of the background may
// take.
constexpr double kBackgroundShare = 0.2;

constexpr int64_t kMaxPositions = std::numeric_limits<int32_t>::max();

}  // namespace

// One choice. It holds a reference to every page in its table.
struct Scheduler::Sequence {
  std::vector<PageId> page_table;
  int64_t num_reserved = 0;  // pages promised and not yet taken
  int64_t num_computed = 0;  // positions [0, num_computed) are in the pages
  bool finished = false;
};

// Choice 0 computes the prompt; the others' tables are empty until it is whole.
struct Scheduler::Request {
  RequestId id = 0;
  SequenceLengths lengths;
  std::vector<Sequence> choices;
  int64_t num_unfinished = 0;
  bool running = false;
  bool held = false;
  bool prompt_whole = false;

  int64_t prompt_left() const {
    return prompt_whole ? 0 : lengths.prompt_len - choices[0].num_computed;
  }

  // The choice has a drawn token whose row is to be computed and leads to
  // another. Tokens drawn so far: num_computed - prompt_len + 1.
  bool HasDecodeRow(const Sequence& choice) const {
    return prompt_whole && !held && !choice.finished &&
           choice.num_computed + 1 < lengths.prompt_len + lengths.max_tokens;
  }
};

// A choice's own copy of the page with the prompt's ragged end. Holds a
// reference to the source until it is made.
struct Scheduler::PendingCopy {
  PageCopy copy;
  RequestId request = 0;
  int32_t choice = 0;
};

absl::Status SchedulerOptions::Validate() const {
  if (max_running < 1) {
    return absl::InvalidArgumentError("max_running is below 1");
  }
  if (step_time <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("step_time is not positive");
  }
  if (max_step_tokens > kMaxPositions) {
    return absl::InvalidArgumentError("max_step_tokens is over 2^31 - 1");
  }
  const int64_t chunk = fixed_chunk_tokens.value_or(kBlockSize);
  if (chunk < kBlockSize || chunk % kBlockSize != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "fixed_chunk_tokens is ", chunk, ", not a positive multiple of 64"));
  }
  if (max_step_tokens < chunk || max_running > max_step_tokens - chunk) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_step_tokens is ", max_step_tokens, ": too few for max_running (",
        max_running, ") rows and a chunk of ", chunk, " tokens"));
  }
  return absl::OkStatus();
}

Scheduler::Scheduler(const SchedulerOptions& options, PageAllocator* pages)
    : options_(options), pages_(pages) {
  running_.reserve(options.max_running);
  plan_.slices.reserve(options.max_running);
}

Scheduler::~Scheduler() = default;

absl::Status Scheduler::CheckRunnable(const SequenceLengths& lengths) const {
  if (lengths.prompt_len < 1) {
    return InvalidField("prompt", "must hold at least one token");
  }
  if (lengths.max_tokens < 0) {
    return InvalidField("max_tokens", "must be at least 0");
  }
  if (lengths.num_choices < 1 ||
      lengths.num_sequences() > options_.max_running) {
    return InvalidField("num_choices",
                        absl::StrCat("must be in [1, ", options_.max_running,
                                     "], is ", lengths.num_choices));
  }
  // The first test keeps the sums below in range.
  const bool too_long = lengths.prompt_len > kMaxPositions ||
                        lengths.max_tokens > kMaxPositions ||
                        lengths.prompt_len + lengths.max_tokens > kMaxPositions;
  const int64_t limit = pages_->num_pages() * kBlockSize;
  if (!too_long && lengths.PagesNeeded() <= pages_->num_pages()) {
    return absl::OkStatus();
  }
  const int64_t got = too_long ? std::numeric_limits<int64_t>::max()
                               : lengths.PagesNeeded() * kBlockSize;
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        "prompt and max_tokens, over all choices, need more "
                        "than the KV cache's ",
                        limit, " tokens")),
                    {"CONTEXT_TOO_LONG", limit, got});
}

absl::Status Scheduler::Add(RequestId id, const SequenceLengths& lengths) {
  if (absl::Status status = CheckRunnable(lengths); !status.ok()) return status;
  if (requests_.contains(id)) {
    return absl::AlreadyExistsError("a request of this id is here already");
  }
  auto request = std::make_unique<Request>();
  request->id = id;
  request->lengths = lengths;
  request->num_unfinished = lengths.num_sequences();
  request->choices.resize(lengths.num_sequences());
  requests_.emplace(id, request.get());
  backlog_tokens_ += lengths.prompt_len;
  waiting_.push_back(std::move(request));
  return absl::OkStatus();
}

bool Scheduler::Remove(RequestId id) {
  Request* const request = Find(id);
  if (request == nullptr) return false;
  requests_.erase(id);
  backlog_tokens_ -= request->prompt_left();
  const auto is_it = [&](const auto& other) { return other.get() == request; };
  if (request->running) {
    for (size_t i = 0; i < request->choices.size(); ++i) {
      if (!request->choices[i].finished) ReleaseChoice(*request, i);
    }
    running_.erase(std::find_if(running_.begin(), running_.end(), is_it));
  } else {
    waiting_.erase(std::find_if(waiting_.begin(), waiting_.end(), is_it));
  }
  return true;
}

bool Scheduler::FinishChoice(RequestId id, int32_t choice) {
  Request* const request = Find(id);
  if (request == nullptr || !request->prompt_whole || choice < 0 ||
      choice >= static_cast<int64_t>(request->choices.size()) ||
      request->choices[choice].finished) {
    return false;
  }
  if (request->num_unfinished == 1) return Remove(id);
  ReleaseChoice(*request, choice);
  return true;
}

void Scheduler::SetHeld(RequestId id, bool held) {
  if (Request* const request = Find(id)) request->held = held;
}

const StepPlan& Scheduler::Plan() {
  plan_.copies.clear();
  plan_.slices.clear();
  plan_.work = StepWork();
  StartWaiting();
  // Running sequences first, so that a long prompt costs them at most the
  // time of one step; Validate leaves room for a chunk beside all of them.
  CountDecodeRows();
  const absl::Duration step_time =
      options_.step_time * (1.0 - share_beside_steps_);
  PlanPrompts(/*is_background=*/false, step_time);
  PlanPrompts(/*is_background=*/true, BackgroundStepTime(step_time));
  PlanDecodeRows();
  plan_.predicted_time = costs_.Predict(plan_.work);
  if (!plan_.slices.empty()) {
    for (const PendingCopy& pending : pending_copies_) {
      plan_.copies.push_back(pending.copy);
    }
  }
  plan_open_ = true;
  return plan_;
}

void Scheduler::RecordStepTime(const StepWork& work, absl::Duration duration) {
  costs_.Record(work, duration);
}

void Scheduler::Commit() {
  if (!plan_open_) return;
  plan_open_ = false;
  // Copies of this plan only: those added below are made by the next.
  if (!plan_.slices.empty()) {
    for (const PendingCopy& pending : pending_copies_) {
      pages_->Release(pending.copy.source);
    }
    pending_copies_.clear();
  }
  for (const PlannedSlice& slice : plan_.slices) {
    Request* const request = Find(slice.request);
    if (request == nullptr) continue;  // removed while the plan was open
    request->choices[slice.choice].num_computed += slice.num_tokens;
    if (!slice.is_prompt()) continue;
    backlog_tokens_ -= slice.num_tokens;
    if (slice.ends_prompt()) {
      request->prompt_whole = true;
      SharePrompt(*request);
    }
  }
}

int64_t Scheduler::PagesMissing() const {
  if (!waits_for_pages_ || waiting_.empty()) return 0;
  const int64_t available = pages_->num_free() - pages_->num_reserved();
  return std::max<int64_t>(0,
                           waiting_.front()->lengths.PagesNeeded() - available);
}

bool Scheduler::IsRunning(RequestId id) const {
  const Request* const request = Find(id);
  return request != nullptr && request->running;
}

void Scheduler::StartWaiting() {
  waits_for_pages_ = false;
  // Only ever the first in line: passing a request that does not fit could
  // leave it waiting for ever.
  while (!waiting_.empty()) {
    Request& request = *waiting_.front();
    const int64_t num_sequences = request.lengths.num_sequences();
    if (num_sequences_running_ + num_sequences > options_.max_running) return;
    if (!pages_->TryReserve(request.lengths.PagesNeeded())) {
      waits_for_pages_ = true;
      return;
    }
    const int64_t total = request.lengths.total_blocks();
    for (Sequence& choice : request.choices) {
      choice.num_reserved = total - request.lengths.shared_blocks();
      choice.page_table.reserve(total);
    }
    request.choices[0].num_reserved = total;
    request.running = true;
    num_sequences_running_ += num_sequences;
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Scheduler::CountDecodeRows() {
  for (const auto& request : running_) {
    for (const Sequence& choice : request->choices) {
      if (!request->HasDecodeRow(choice)) continue;
      ++plan_.work.decode_rows;
      plan_.work.decode_blocks += NumBlocks(choice.num_computed + 1);
    }
  }
}

absl::Duration Scheduler::BackgroundStepTime(absl::Duration step_time) const {
  if (plan_.num_tokens() == 0) return step_time;
  return std::min(step_time,
                  costs_.Predict(plan_.work) / (1.0 - kBackgroundShare));
}

void Scheduler::PlanPrompts(bool is_background, absl::Duration step_time) {
  const PromptRoom room = {step_time, plan_.work.prompt_tokens};
  for (const auto& request : running_) {
    if (request->lengths.is_background != is_background) continue;
    if (request->prompt_left() == 0 || request->held) continue;
    const int64_t chunk = TakeChunk(*request, room);
    if (chunk == 0) return;
    AppendSlice(*request, 0, chunk);
  }
}

int64_t Scheduler::TakeChunk(const Request& request, const PromptRoom& room) {
  const int64_t left = request.prompt_left();
  if (options_.fixed_chunk_tokens.has_value()) {
    const int64_t chunk = std::min(left, *options_.fixed_chunk_tokens);
    return TakeRows(request, 0, chunk, room) ? chunk : 0;
  }
  int64_t chunk = 0;
  while (chunk < left) {
    const int64_t tile = std::min<int64_t>(left - chunk, kBlockSize);
    if (!TakeRows(request, chunk, tile, room)) break;
    chunk += tile;
  }
  return chunk;
}

bool Scheduler::TakeRows(const Request& request, int64_t skipped,
                         int64_t num_tokens, const PromptRoom& room) {
  if (plan_.num_tokens() + num_tokens > options_.max_step_tokens) return false;
  StepWork with = plan_.work;
  request.lengths.AddPromptWork(request.choices[0].num_computed + skipped,
                                num_tokens, &with);
  const bool is_first = plan_.work.prompt_tokens == room.num_planned;
  if (!is_first && costs_.Predict(with) > room.step_time) return false;
  plan_.work = with;
  return true;
}

void Scheduler::PlanDecodeRows() {
  for (const auto& request : running_) {
    for (size_t i = 0; i < request->choices.size(); ++i) {
      if (request->HasDecodeRow(request->choices[i])) {
        AppendSlice(*request, i, 1);
      }
    }
  }
}

void Scheduler::AppendSlice(Request& request, int32_t choice,
                            int64_t num_tokens) {
  Sequence& sequence = request.choices[choice];
  const int64_t end = sequence.num_computed + num_tokens;
  const int64_t num_blocks = NumBlocks(end);
  // Within the reservation, so there is always a page; kept if the plan is
  // abandoned.
  while (static_cast<int64_t>(sequence.page_table.size()) < num_blocks) {
    sequence.page_table.push_back(pages_->Take());
    --sequence.num_reserved;
  }
  PlannedSlice slice;
  slice.request = request.id;
  slice.choice = choice;
  slice.position_begin = static_cast<int32_t>(sequence.num_computed);
  slice.num_tokens = static_cast<int32_t>(num_tokens);
  slice.prompt_len = static_cast<int32_t>(request.lengths.prompt_len);
  slice.page_table =
      absl::MakeConstSpan(sequence.page_table).subspan(0, num_blocks);
  plan_.slices.push_back(slice);
}

void Scheduler::SharePrompt(Request& request) {
  const Sequence& first = request.choices[0];
  const int64_t num_shared = request.lengths.shared_blocks();
  const bool ragged = request.lengths.prompt_len % kBlockSize != 0;
  for (size_t i = 1; i < request.choices.size(); ++i) {
    Sequence& choice = request.choices[i];
    choice.num_computed = request.lengths.prompt_len;
    for (int64_t block = 0; block < num_shared; ++block) {
      pages_->AddReference(first.page_table[block]);
      choice.page_table.push_back(first.page_table[block]);
    }
    if (!ragged) continue;
    const PageId source = first.page_table[num_shared];
    const PageId target = pages_->Take();
    --choice.num_reserved;
    choice.page_table.push_back(target);
    pages_->AddReference(source);
    pending_copies_.push_back(
        {{source, target}, request.id, static_cast<int32_t>(i)});
  }
}

void Scheduler::ReleaseChoice(Request& request, int32_t choice) {
  Sequence& sequence = request.choices[choice];
  for (const PageId page : sequence.page_table) pages_->Release(page);
  sequence.page_table.clear();
  pages_->CancelReservation(sequence.num_reserved);
  sequence.num_reserved = 0;
  sequence.finished = true;
  --request.num_unfinished;
  --num_sequences_running_;
  const auto end = std::remove_if(
      pending_copies_.begin(), pending_copies_.end(), [&](const auto& pending) {
        if (pending.request != request.id || pending.choice != choice) {
          return false;
        }
        pages_->Release(pending.copy.source);
        return true;
      });
  pending_copies_.erase(end, pending_copies_.end());
}

Scheduler::Request* Scheduler::Find(RequestId id) const {
  const auto it = requests_.find(id);
  return it == requests_.end() ? nullptr : it->second;
}

}  // namespace seer
