#ifndef SEER_SERVER_QUALITY_GUARD_DENSE_TWIN_H_
#define SEER_SERVER_QUALITY_GUARD_DENSE_TWIN_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/token.h"

namespace seer {

struct DenseTwinOptions {
  absl::Duration max_time;     // from its submission
  absl::Duration poll_period;  // between looks at who waits
};

// Prefills the prompt densely, as a request of nobody's that draws no token,
// and returns FirstDistributionEvent::logprobs of it. Gives way: where a
// request of anybody's waits, before it or while it runs, it ends within a poll
// period and a step of the engine. `interrupted` is asked every poll period.
// RESOURCE_EXHAUSTED: others wait, or there is no memory. UNAVAILABLE: the
// engine drains. DEADLINE_EXCEEDED: it took too long. CANCELLED: interrupted.
// Other errors of Engine::Submit and of FailureEvent.
absl::StatusOr<std::vector<float>> RunDenseTwin(
    Engine* engine, const std::vector<TokenId>& prompt,
    const DenseTwinOptions& options, const std::function<bool()>& interrupted);

}  // namespace seer

#endif  // SEER_SERVER_QUALITY_GUARD_DENSE_TWIN_H_
