#include "server/quality_guard/guard_sample.h"

#include <utility>
#include <variant>

#include "engine/sparsity_policy.h"

namespace seer {
namespace {

// Oracles say how good a gate could be; they are compared by tools, and serve
// nobody.
bool IsWatched(const std::string& gate) {
  return !gate.empty() && gate != kOracleMaxName && gate != kOracleMassName;
}

}  // namespace

GuardSample::GuardSample(std::unique_ptr<GuardPlace> place,
                         const GenerationRequest& request)
    : place_(std::move(place)),
      request_id_(request.request_id),
      prompt_(request.prompt) {}

bool GuardSample::Take(Event& event) {
  if (auto* const accepted = std::get_if<AcceptedEvent>(&event)) {
    gate_ = accepted->gate;
    gate_version_ = accepted->gate_version;
    if (IsWatched(gate_)) return false;
    place_.reset();
    prompt_ = {};
    return false;
  }
  auto* const first = std::get_if<FirstDistributionEvent>(&event);
  if (first == nullptr) return false;
  if (place_ != nullptr) logprobs_ = std::move(first->logprobs);
  return true;
}

}  // namespace seer
