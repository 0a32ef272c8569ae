#include "engine/sampler/logit_row.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace seer {
namespace {

// Inner loops run over this many independent lanes, a constant, so that the
// compiler can turn them into vector instructions without reordering a sum.
constexpr int kLanes = 16;
static_assert(kWeightGroup % kLanes == 0, "groups are whole vectors");

constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

// e^x for x <= 0 and -infinity, relative error below 2^-22; 0 below -87, where
// the result leaves the normal range.
inline float ExpNegative(float x) {
  constexpr float kLowest = -87.0f;
  constexpr float kLog2E = 1.44269504f;
  // Adding 1.5 * 2^23 rounds to an integer, which the low bits then hold.
  constexpr float kRound = 12582912.0f;
  constexpr int32_t kRoundBits = 0x4B400000;
  // ln 2 in two parts; the first has 9 bits, so n times it is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  const float clamped = x > kLowest ? x : kLowest;
  const float rounded = clamped * kLog2E + kRound;
  const float n = rounded - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  // The Taylor series to r^7; |r| <= ln(2) / 2, the rest is below 2^-27.
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t bits;
  std::memcpy(&bits, &rounded, sizeof(bits));
  const int32_t power_bits = (bits - kRoundBits + 127) * (1 << 23);
  float power;
  std::memcpy(&power, &power_bits, sizeof(power));
  const float result = p * power;
  return x > kLowest ? result : 0.0f;
}

// Sums e^((logit - max) * scale) over one whole group.
inline float SumGroup(const float* logits, float max, float scale,
                      float* weights) {
  float sums[kLanes] = {};
  for (int64_t i = 0; i < kWeightGroup; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float weight = ExpNegative((logits[i + lane] - max) * scale);
      weights[i + lane] = weight;
      sums[lane] += weight;
    }
  }
  float sum = 0.0f;
  for (const float lane : sums) sum += lane;
  return sum;
}

// Calls fn(group index, first token, tokens, sum) with the group's weights in
// `weights`, for each group of the row.
template <typename Fn>
double ForEachGroup(absl::Span<const float> logits, float max, float scale,
                    const Fn& fn) {
  const int64_t num_tokens = logits.size();
  float weights[kWeightGroup];
  double total = 0.0;
  for (int64_t begin = 0; begin < num_tokens; begin += kWeightGroup) {
    const int64_t count = std::min(kWeightGroup, num_tokens - begin);
    float sum;
    if (count == kWeightGroup) {
      sum = SumGroup(&logits[begin], max, scale, weights);
    } else {
      float tail[kWeightGroup];
      std::fill_n(tail, kWeightGroup, kNegativeInfinity);
      std::copy_n(&logits[begin], count, tail);
      sum = SumGroup(tail, max, scale, weights);
    }
    fn(begin, count, weights, sum);
    total += sum;
  }
  return total;
}

bool Before(const RankedToken& a, const RankedToken& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

}  // namespace

bool AllFinite(absl::Span<const float> logits) {
  constexpr uint32_t kExponent = 0x7F800000;
  const int64_t num_tokens = logits.size();
  uint32_t bad[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= num_tokens; i += kLanes) {
    uint32_t bits[kLanes];
    std::memcpy(bits, &logits[i], sizeof(bits));
    for (int lane = 0; lane < kLanes; ++lane) {
      bad[lane] |= (bits[lane] & kExponent) == kExponent ? 1u : 0u;
    }
  }
  for (; i < num_tokens; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &logits[i], sizeof(bits));
    bad[0] |= (bits & kExponent) == kExponent ? 1u : 0u;
  }
  return std::count(bad, bad + kLanes, 0u) == kLanes;
}

float MaxLogit(absl::Span<const float> logits) {
  const int64_t num_tokens = logits.size();
  float max[kLanes];
  std::fill_n(max, kLanes, kNegativeInfinity);
  int64_t i = 0;
  for (; i + kLanes <= num_tokens; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float logit = logits[i + lane];
      max[lane] = logit > max[lane] ? logit : max[lane];
    }
  }
  for (; i < num_tokens; ++i) max[0] = std::max(max[0], logits[i]);
  return *std::max_element(max, max + kLanes);
}

int64_t CountBetter(absl::Span<const float> logits, TokenId token) {
  const float own = logits[token];
  const int64_t num_tokens = logits.size();
  int64_t count = 0;
  for (int64_t i = 0; i < token; ++i) count += logits[i] >= own;
  for (int64_t i = token + 1; i < num_tokens; ++i) count += logits[i] > own;
  return count;
}

void SelectBest(absl::Span<const float> logits, int64_t count,
                std::vector<RankedToken>* best) {
  const int64_t num_tokens = logits.size();
  count = std::min(count, num_tokens);
  best->clear();
  if (count <= 0) return;
  // Gathers what passes the bar; when twice as many as wanted have, keeps the
  // better half and raises the bar to its worst. Of equal logits the earlier,
  // lower, ids are kept, so an equal one does not pass.
  const int64_t room = std::min(2 * count, num_tokens);
  best->reserve(room);
  float bar = kNegativeInfinity;
  const auto keep_best = [&] {
    if (static_cast<int64_t>(best->size()) <= count) return;
    std::nth_element(best->begin(), best->begin() + (count - 1), best->end(),
                     Before);
    best->resize(count);
    bar = best->back().logit;
  };
  for (int64_t i = 0; i < num_tokens; ++i) {
    if (!(logits[i] > bar)) continue;
    if (static_cast<int64_t>(best->size()) == room) keep_best();
    if (logits[i] > bar) {
      best->push_back({logits[i], static_cast<TokenId>(i)});
    }
  }
  keep_best();
  std::sort(best->begin(), best->end(), Before);
}

double SumWeights(absl::Span<const float> logits, float max, float scale) {
  return ForEachGroup(logits, max, scale,
                      [](int64_t, int64_t, const float*, float) {});
}

double ComputeWeights(absl::Span<const float> logits, float max, float scale,
                      absl::Span<float> weights,
                      absl::Span<double> group_sums) {
  return ForEachGroup(
      logits, max, scale,
      [&](int64_t begin, int64_t count, const float* group, float sum) {
        std::copy_n(group, count, &weights[begin]);
        group_sums[begin / kWeightGroup] = sum;
      });
}

}  // namespace seer
