#include "engine/event_stream/event_stream.h"

#include "absl/strings/str_cat.h"
#include "engine/errors.h"
#include "engine/event_stream/event_queue.h"

namespace seer {
namespace {

class QueuedTokenStream final : public TokenStream {
 public:
  explicit QueuedTokenStream(std::shared_ptr<EventQueue> queue)
      : queue_(std::move(queue)) {}
  ~QueuedTokenStream() override { queue_->Close(); }

  bool TryNext(Event* event) override { return queue_->TryNext(event); }
  void OnReady(std::function<void()> ready) override {
    queue_->OnReady(std::move(ready));
  }

 private:
  const std::shared_ptr<EventQueue> queue_;
};

}  // namespace

EventOutbox::EventOutbox(std::shared_ptr<EventQueue> queue)
    : queue_(std::move(queue)) {}

void EventOutbox::Push(Event event) {
  queue_->Push(std::move(event), /*drop_earlier=*/false);
}

void EventOutbox::DropAndFail(absl::Status status) {
  queue_->Push(FailureEvent{std::move(status)}, /*drop_earlier=*/true);
}

std::optional<absl::Time> EventOutbox::cancelled_since() const {
  return queue_->closed_since();
}

bool EventOutbox::full() const { return queue_->full(); }

absl::Duration EventOutbox::StalledFor(absl::Time now) {
  const int64_t mark = queue_->StallMark();
  if (mark == 0 || mark != stall_mark_) {
    stall_mark_ = mark;
    stalled_since_ = now;
  }
  return now - stalled_since_;
}

absl::Status SlowReaderError(absl::Duration stalled) {
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("the reader took nothing for ",
                                                absl::FormatDuration(stalled))),
      {"SLOW_READER", std::nullopt, std::nullopt});
}

EventStreamEnds MakeEventStream(const EventStreamOptions& options,
                                std::function<void()> wake) {
  auto queue = std::make_shared<EventQueue>(
      options.capacity_bytes, options.max_delta_tokens, std::move(wake));
  return {EventOutbox(queue), std::make_unique<QueuedTokenStream>(queue)};
}

}  // namespace seer
