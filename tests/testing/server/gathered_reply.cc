#include "tests/testing/server/gathered_reply.h"

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace seer {
namespace {

void Add(const Event& event, GatheredReply& reply) {
  const auto choice = [&](int32_t index) -> GatheredReply::Choice& {
    if (static_cast<size_t>(index) >= reply.choices.size()) {
      reply.choices.resize(index + 1);
    }
    return reply.choices[index];
  };
  if (const auto* delta = std::get_if<DeltaEvent>(&event)) {
    GatheredReply::Choice& c = choice(delta->index);
    c.text += delta->text;
    c.token_ids.insert(c.token_ids.end(), delta->token_ids.begin(),
                       delta->token_ids.end());
    c.logprobs.insert(c.logprobs.end(), delta->logprobs.begin(),
                      delta->logprobs.end());
  } else if (const auto* finish = std::get_if<FinishEvent>(&event)) {
    choice(finish->index).finish = *finish;
  } else if (const auto* logprobs = std::get_if<PromptLogprobsEvent>(&event)) {
    reply.prompt_logprobs.insert(reply.prompt_logprobs.end(),
                                 logprobs->entries.begin(),
                                 logprobs->entries.end());
  } else if (const auto* first = std::get_if<FirstDistributionEvent>(&event)) {
    reply.first_distribution = first->logprobs;
  } else if (const auto* summary = std::get_if<SummaryEvent>(&event)) {
    reply.summary = *summary;
  } else if (const auto* failure = std::get_if<FailureEvent>(&event)) {
    reply.status = failure->status;
  }
}

}  // namespace

GatheredReply Gather(TokenStream& stream, absl::Duration timeout) {
  // Shared: a call that began just before the stream ends may still run.
  struct Signal {
    absl::Mutex mutex;
    bool ready ABSL_GUARDED_BY(mutex) = false;
  };
  const auto signal = std::make_shared<Signal>();
  stream.OnReady([signal] {
    absl::MutexLock lock(&signal->mutex);
    signal->ready = true;
  });
  GatheredReply reply;
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    for (Event event; stream.TryNext(&event);) {
      Add(event, reply);
      reply.events.push_back(event);
      if (IsLast(event)) return reply;
    }
    absl::MutexLock lock(&signal->mutex);
    if (!signal->mutex.AwaitWithDeadline(absl::Condition(&signal->ready),
                                         deadline)) {
      reply.status = absl::DeadlineExceededError("no last event");
      return reply;
    }
    signal->ready = false;
  }
}

GatheredReply Complete(Engine& engine, GenerationRequest request) {
  auto stream = engine.Submit(std::move(request));
  if (stream.ok()) return Gather(**stream);
  GatheredReply reply;
  reply.status = stream.status();
  return reply;
}

}  // namespace seer
