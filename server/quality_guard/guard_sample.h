#ifndef SEER_SERVER_QUALITY_GUARD_GUARD_SAMPLE_H_
#define SEER_SERVER_QUALITY_GUARD_GUARD_SAMPLE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/token.h"

namespace seer {

// A place among the samples that the guard holds: counted while it lives.
class GuardPlace {
 public:
  // `num_held` is borrowed.
  explicit GuardPlace(std::atomic<int64_t>* num_held) : num_held_(num_held) {
    ++*num_held_;
  }
  ~GuardPlace() { --*num_held_; }
  GuardPlace(const GuardPlace&) = delete;
  GuardPlace& operator=(const GuardPlace&) = delete;

 private:
  std::atomic<int64_t>* const num_held_;
};

// What the guard keeps of one request that it chose: up to
// QualityGuardOptions::max_prompt_tokens tokens, and a distribution. Not
// thread-safe.
class GuardSample {
 public:
  GuardSample(std::unique_ptr<GuardPlace> place,
              const GenerationRequest& request);

  // Looks at an event of the request's stream. True: it is the guard's alone,
  // and what it holds was taken.
  bool Take(Event& event);

  // The request was sparse, under a gate that is watched, and came to its first
  // token.
  bool is_complete() const { return place_ != nullptr && !logprobs_.empty(); }

  const std::string& request_id() const { return request_id_; }
  const std::vector<TokenId>& prompt() const { return prompt_; }
  const std::string& gate() const { return gate_; }
  const std::string& gate_version() const { return gate_version_; }
  // FirstDistributionEvent::logprobs.
  const std::vector<float>& logprobs() const { return logprobs_; }

 private:
  std::unique_ptr<GuardPlace> place_;  // null: there is nothing to compare
  const std::string request_id_;
  std::vector<TokenId> prompt_;
  std::string gate_;
  std::string gate_version_;
  std::vector<float> logprobs_;
};

}  // namespace seer

#endif  // SEER_SERVER_QUALITY_GUARD_GUARD_SAMPLE_H_
