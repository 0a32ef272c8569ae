#include "engine/event_stream/event_queue.h"

#include <iterator>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"

namespace seer {
namespace {

int64_t HeapBytes(const std::string& text) { return text.size(); }

int64_t HeapBytes(const std::vector<LogprobEntry>& entries) {
  int64_t bytes = 0;
  for (const LogprobEntry& entry : entries) {
    bytes += sizeof(LogprobEntry) + HeapBytes(entry.token.text);
    for (const TokenLogprob& alternative : entry.top) {
      bytes += sizeof(TokenLogprob) + HeapBytes(alternative.text);
    }
  }
  return bytes;
}

struct HeapBytesOf {
  int64_t operator()(const AcceptedEvent&) const { return 0; }
  int64_t operator()(const PromptProgressEvent&) const { return 0; }
  int64_t operator()(const PromptLogprobsEvent& event) const {
    return HeapBytes(event.entries);
  }
  // One a request, and only for the server's own use, which must not hold the
  // request up.
  int64_t operator()(const FirstDistributionEvent&) const { return 0; }
  int64_t operator()(const DeltaEvent& event) const {
    return HeapBytes(event.text) + HeapBytes(event.logprobs) +
           static_cast<int64_t>(event.token_ids.size() * sizeof(TokenId));
  }
  int64_t operator()(const FinishEvent& event) const {
    return HeapBytes(event.stop_string);
  }
  int64_t operator()(const SummaryEvent& event) const {
    return event.sparsity.layers.size() * sizeof(LayerBlocks);
  }
  int64_t operator()(const FailureEvent& event) const {
    return event.status.message().size();
  }
};

// Appends `tail` to `delta`, of the same choice.
void Append(DeltaEvent& delta, DeltaEvent&& tail) {
  delta.text += tail.text;
  delta.token_ids.insert(delta.token_ids.end(), tail.token_ids.begin(),
                         tail.token_ids.end());
  delta.logprobs.insert(delta.logprobs.end(),
                        std::make_move_iterator(tail.logprobs.begin()),
                        std::make_move_iterator(tail.logprobs.end()));
}

}  // namespace

int64_t EventBytes(const Event& event) {
  return sizeof(Event) + std::visit(HeapBytesOf(), event);
}

EventQueue::EventQueue(int64_t capacity_bytes, int64_t max_delta_tokens,
                       std::function<void()> wake)
    : capacity_bytes_(capacity_bytes),
      max_delta_tokens_(max_delta_tokens),
      wake_(std::move(wake)) {}

void EventQueue::Push(Event event, bool drop_earlier) {
  const int64_t bytes = EventBytes(event);
  std::deque<Entry> dropped;  // freed after the lock
  bool call_ready = false;
  {
    MutexLock lock(&mutex_);
    if (closed_ || ended_) return;
    // Dropping leaves something to read, which the reader was told of.
    call_ready = entries_.empty();
    if (drop_earlier) {
      dropped.swap(entries_);
      bytes_ = 0;
    }
    ended_ = IsLast(event);
    if (call_ready) ++activity_;
    if (!Coalesce(event, bytes)) entries_.push_back({std::move(event), bytes});
    bytes_ += bytes;
    full_ = bytes_ >= capacity_bytes_;
  }
  if (call_ready) CallReady();
}

bool EventQueue::Coalesce(Event& event, int64_t bytes) {
  if (auto* const progress = std::get_if<PromptProgressEvent>(&event)) {
    for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
      auto* const earlier = std::get_if<PromptProgressEvent>(&it->event);
      if (earlier == nullptr) continue;
      *earlier = *progress;
      bytes_ -= bytes;  // it takes no more room than before
      return true;
    }
    return false;
  }
  auto* const delta = std::get_if<DeltaEvent>(&event);
  if (delta == nullptr) return false;
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
    auto* const earlier = std::get_if<DeltaEvent>(&it->event);
    if (earlier == nullptr || earlier->index != delta->index) continue;
    const int64_t num_tokens =
        earlier->token_ids.size() + delta->token_ids.size();
    if (num_tokens > max_delta_tokens_) return false;
    Append(*earlier, std::move(*delta));
    it->bytes += bytes;
    return true;
  }
  return false;
}

std::optional<absl::Time> EventQueue::closed_since() const {
  MutexLock lock(&mutex_);
  return closed_;
}

bool EventQueue::full() const {
  MutexLock lock(&mutex_);
  return full_;
}

int64_t EventQueue::StallMark() const {
  MutexLock lock(&mutex_);
  return entries_.empty() ? 0 : activity_;
}

bool EventQueue::TryNext(Event* event) {
  bool call_wake = false;
  {
    MutexLock lock(&mutex_);
    if (entries_.empty()) return false;
    *event = std::move(entries_.front().event);
    bytes_ -= entries_.front().bytes;
    entries_.pop_front();
    ++activity_;
    if (full_ && bytes_ <= capacity_bytes_ / 2) {
      full_ = false;
      call_wake = !ended_;
    }
  }
  if (call_wake) wake_();
  return true;
}

void EventQueue::OnReady(std::function<void()> ready) {
  {
    MutexLock lock(&mutex_);
    ready_ = std::move(ready);
    if (entries_.empty()) return;
  }
  CallReady();
}

void EventQueue::CallReady() {
  const std::function<void()>* ready = nullptr;
  {
    MutexLock lock(&mutex_);
    if (closed_ || ready_ == nullptr) return;
    if (ready_running_) {
      ready_again_ = true;
      return;
    }
    ready_running_ = true;
    ready = &ready_;  // stays: Close waits until ready_running_ is false
  }
  while (true) {
    (*ready)();
    MutexLock lock(&mutex_);
    if (closed_ || !ready_again_) {
      ready_running_ = false;
      ready_again_ = false;
      ready_returned_.NotifyAll();
      return;
    }
    ready_again_ = false;
  }
}

void EventQueue::Close() {
  std::deque<Entry> dropped;  // freed after the lock, as is the callback
  std::function<void()> ready;
  bool call_wake = false;
  {
    MutexLock lock(&mutex_);
    closed_ = absl::Now();
    while (ready_running_) ready_returned_.Wait(&mutex_);
    dropped.swap(entries_);
    bytes_ = 0;
    full_ = false;
    ready.swap(ready_);
    call_wake = !ended_;
  }
  if (call_wake) wake_();
}

}  // namespace seer
