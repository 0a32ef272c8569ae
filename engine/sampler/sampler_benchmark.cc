// Time to draw one token from a vocabulary of 131072, by kind of request, and
// to score it. Logits are normal with deviation 3. Prints medians.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/request.h"
#include "engine/sampler/logprobs.h"
#include "engine/sampler/sampler.h"

namespace {

constexpr int64_t kVocabulary = 131072;
constexpr int kRounds = 200;

template <typename Fn>
void Report(const char* name, const Fn& fn) {
  std::vector<double> microseconds;
  for (int64_t i = 0; i < kRounds; ++i) {
    const absl::Time begin = absl::Now();
    if (!fn(i)) {
      std::printf("%s: failed\n", name);
      return;
    }
    microseconds.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
  }
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("%-28s median %7.1f us, p90 %7.1f us\n", name,
              microseconds[kRounds / 2], microseconds[kRounds * 9 / 10]);
}

}  // namespace

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = normal(random);
  seer::Sampler sampler(kVocabulary);
  const auto sample = [&](const char* name, const auto& change) {
    seer::SamplingOptions options;
    change(options);
    Report(name, [&](int64_t i) {
      return sampler.Sample({logits, &options, nullptr, {}, {1, 0, i}}).ok();
    });
  };
  sample("greedy", [](auto& o) { o.temperature = 0.0; });
  sample("temperature", [](auto&) {});
  sample("top_k 50", [](auto& o) { o.top_k = 50; });
  sample("top_p 0.9", [](auto& o) { o.top_p = 0.9; });
  sample("min_p 0.05", [](auto& o) { o.min_p = 0.05; });
  sample("temperature, logit_bias", [](auto& o) { o.logit_bias = {{5, 1}}; });
  Report("log-probability, top 20", [&](int64_t i) {
    return seer::ScoreToken(logits, static_cast<int32_t>(i * 100), 20).ok();
  });
  return 0;
}
