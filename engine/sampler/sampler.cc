#include "engine/sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace seer {
namespace {

constexpr double kLargest = std::numeric_limits<float>::max();

// Below this the highest logit already has all the probability, whatever the
// others are: the reciprocal stays finite.
constexpr double kLowestTemperature = 1e-30;

// The logit of a token that was drawn `count` times (0: in the prompt only).
float Penalize(double logit, int32_t count, const SamplingOptions& options) {
  logit = logit > 0.0 ? logit / options.repetition_penalty
                      : logit * options.repetition_penalty;
  if (count > 0) {
    logit -= options.presence_penalty + options.frequency_penalty * count;
  }
  return static_cast<float>(std::clamp(logit, -kLargest, kLargest));
}

}  // namespace

Sampler::Sampler(int32_t vocab_size)
    : vocab_size_(vocab_size),
      adjusted_(vocab_size),
      weights_(vocab_size),
      group_sums_((vocab_size + kWeightGroup - 1) / kWeightGroup) {}

absl::StatusOr<TokenId> Sampler::Sample(const SampleArgs& args) {
  if (static_cast<int64_t>(args.logits.size()) != vocab_size_) {
    return absl::InvalidArgumentError(
        absl::StrCat(args.logits.size(), " logits for a vocabulary of ",
                     vocab_size_, " tokens"));
  }
  if (!AllFinite(args.logits)) {
    return absl::InternalError("the model gave a logit that is not finite");
  }
  const SamplingOptions& options = *args.options;
  const absl::Span<const float> logits = Adjust(args);
  const float max = MaxLogit(logits);
  if (std::isinf(max)) return absl::InternalError("every token is banned");
  if (options.temperature == 0.0) {
    return static_cast<TokenId>(std::find(logits.begin(), logits.end(), max) -
                                logits.begin());
  }
  const double uniform = UniformDraw(args.key);
  const bool all = (options.top_k <= 0 || options.top_k >= vocab_size_) &&
                   options.top_p >= 1.0 && options.min_p <= 0.0;
  return all ? DrawFromAll(logits, max, options.temperature, uniform)
             : DrawFromBest(logits, max, options, uniform);
}

absl::Span<const float> Sampler::Adjust(const SampleArgs& args) {
  const SamplingOptions& options = *args.options;
  const bool penalized = args.history != nullptr && Penalizes(options) &&
                         !args.history->counts().empty();
  if (options.logit_bias.empty() && args.banned.empty() && !penalized) {
    return args.logits;
  }
  std::copy(args.logits.begin(), args.logits.end(), adjusted_.begin());
  for (const auto& [token, bias] : options.logit_bias) {
    adjusted_[token] = static_cast<float>(
        std::clamp(double{adjusted_[token]} + bias, -kLargest, kLargest));
  }
  if (penalized) {
    for (const auto& [token, count] : args.history->counts()) {
      adjusted_[token] = Penalize(adjusted_[token], count, options);
    }
  }
  for (const TokenId token : args.banned) {
    adjusted_[token] = -std::numeric_limits<float>::infinity();
  }
  return adjusted_;
}

TokenId Sampler::DrawFromAll(absl::Span<const float> logits, float max,
                             double temperature, double uniform) {
  const float scale =
      static_cast<float>(1.0 / std::max(temperature, kLowestTemperature));
  double left =
      uniform * ComputeWeights(logits, max, scale, absl::MakeSpan(weights_),
                               absl::MakeSpan(group_sums_));
  // In order of id: whole groups, then single tokens.
  size_t group = 0;
  while (group + 1 < group_sums_.size() && left >= group_sums_[group]) {
    left -= group_sums_[group++];
  }
  for (int64_t token = group * kWeightGroup; token < vocab_size_; ++token) {
    left -= weights_[token];
    if (left < 0.0) return static_cast<TokenId>(token);
  }
  // The sums of groups and of tokens round differently, so a number close to 1
  // can lead past the end: to the last token that weighs something.
  TokenId token = vocab_size_ - 1;
  while (token > 0 && weights_[token] == 0.0f) --token;
  return token;
}

TokenId Sampler::DrawFromBest(absl::Span<const float> logits, float max,
                              const SamplingOptions& options, double uniform) {
  const double temperature = std::max(options.temperature, kLowestTemperature);
  const auto weight = [&](const RankedToken& token) {
    return std::exp((double{token.logit} - max) / temperature);
  };
  const bool by_count = options.top_k > 0 && options.top_k < vocab_size_;
  const bool by_mass = options.top_p < 1.0;
  // top_p's share of the mass that top_k kept.
  double enough = std::numeric_limits<double>::infinity();
  if (by_mass && !by_count) {
    const float scale = static_cast<float>(1.0 / temperature);
    enough = options.top_p * SumWeights(logits, max, scale);
  }
  // Without top_k: as many as top_p and min_p turn out to need.
  constexpr int64_t kFirstCount = 128;
  constexpr int64_t kGrowth = 8;
  for (int64_t count = by_count ? options.top_k : kFirstCount;;
       count *= kGrowth) {
    SelectBest(logits, count, &best_);
    if (by_mass && by_count) {
      double mass = 0.0;
      for (const RankedToken& token : best_) mass += weight(token);
      enough = options.top_p * mass;
    }
    best_weights_.clear();
    double kept_mass = 0.0;
    bool limited = by_count || count >= static_cast<int64_t>(logits.size());
    for (const RankedToken& token : best_) {
      const double next = weight(token);  // the first's is 1
      if (kept_mass >= enough || next < options.min_p) {
        limited = true;
        break;
      }
      best_weights_.push_back(next);
      kept_mass += next;
    }
    if (!limited && kept_mass < enough) continue;
    double left = uniform * kept_mass;
    for (size_t i = 0; i + 1 < best_weights_.size(); ++i) {
      left -= best_weights_[i];
      if (left < 0.0) return best_[i].id;
    }
    return best_[best_weights_.size() - 1].id;
  }
}

}  // namespace seer
