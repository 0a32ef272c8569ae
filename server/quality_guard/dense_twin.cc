#include "server/quality_guard/dense_twin.h"

#include <memory>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/thread/mutex.h"
#include "engine/request.h"
#include "server/random_id.h"

namespace seer {
namespace {

absl::Status CheckNobodyWaits(const Engine& engine) {
  const EngineStats stats = engine.Stats();
  if (stats.draining) return absl::UnavailableError("the engine drains");
  if (stats.requests_waiting > 0) {
    return absl::ResourceExhaustedError("requests wait");
  }
  return absl::OkStatus();
}

GenerationRequest TwinOf(const std::vector<TokenId>& prompt,
                         absl::Duration max_time) {
  GenerationRequest request;
  request.request_id = NewRandomId();
  request.prompt = prompt;
  request.max_tokens = 0;
  request.policy.emplace();  // dense
  request.wants_first_distribution = true;
  request.priority = Priority::kBackground;
  request.deadline = absl::Now() + max_time;
  return request;
}

}  // namespace

absl::StatusOr<std::vector<float>> RunDenseTwin(
    Engine* engine, const std::vector<TokenId>& prompt,
    const DenseTwinOptions& options, const std::function<bool()>& interrupted) {
  SEER_RETURN_IF_ERROR(CheckNobodyWaits(*engine));
  Mutex mutex;
  CondVar ready;
  bool is_ready = false;
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<TokenStream> stream,
                        engine->Submit(TwinOf(prompt, options.max_time)));
  stream->OnReady([&] {
    MutexLock lock(&mutex);
    is_ready = true;
    ready.NotifyAll();
  });
  std::vector<float> logprobs;
  while (true) {
    for (Event event; stream->TryNext(&event);) {
      if (auto* first = std::get_if<FirstDistributionEvent>(&event)) {
        logprobs = std::move(first->logprobs);
      } else if (const auto* failure = std::get_if<FailureEvent>(&event)) {
        return failure->status;
      } else if (std::holds_alternative<SummaryEvent>(event)) {
        return logprobs;
      }
    }
    if (interrupted()) return absl::CancelledError("the guard ends");
    SEER_RETURN_IF_ERROR(CheckNobodyWaits(*engine));
    MutexLock lock(&mutex);
    if (!is_ready) ready.WaitWithTimeout(&mutex, options.poll_period);
    is_ready = false;
  }
}

}  // namespace seer
