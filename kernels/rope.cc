#include "kernels/rope.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace seer {
namespace {

constexpr double kPi = 3.14159265358979323846;

absl::Status CheckScaling(const RopeScaling& s) {
  using Type = RopeScaling::Type;
  if (s.type == Type::kDefault) return absl::OkStatus();
  if (!(s.factor >= 1.0) || !std::isfinite(s.factor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope scaling: factor ", s.factor, ", want >= 1"));
  }
  if (s.type == Type::kLinear) return absl::OkStatus();
  if (s.original_max_position_embeddings < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope scaling: original_max_position_embeddings ",
                     s.original_max_position_embeddings, ", want >= 1"));
  }
  if (s.type == Type::kLlama3) {
    if (!(s.low_freq_factor > 0.0) ||
        !(s.high_freq_factor > s.low_freq_factor) ||
        !std::isfinite(s.high_freq_factor)) {
      return absl::InvalidArgumentError(
          absl::StrCat("rope scaling: low_freq_factor ", s.low_freq_factor,
                       " and high_freq_factor ", s.high_freq_factor,
                       ", want 0 < low < high"));
    }
    return absl::OkStatus();
  }
  if (!(s.beta_slow > 0.0) || !(s.beta_fast >= s.beta_slow) ||
      !std::isfinite(s.beta_fast)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope scaling: beta_fast ", s.beta_fast, " and beta_slow ",
                     s.beta_slow, ", want fast >= slow > 0"));
  }
  if (!(s.attention_factor >= 0.0) || !std::isfinite(s.attention_factor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope scaling: attention_factor ", s.attention_factor,
                     ", want > 0, or 0 for the default"));
  }
  return absl::OkStatus();
}

absl::Status CheckConfig(const RopeConfig& config) {
  if (config.head_dim < 2 || config.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope: head_dim ", config.head_dim, ", want even, >= 2"));
  }
  if (!(config.theta > 1.0) || !std::isfinite(config.theta)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rope: theta ", config.theta, ", want > 1"));
  }
  return CheckScaling(config.scaling);
}

// theta ^ (2i / D) of channel pair i.
float InverseOfFrequency(const RopeConfig& config, int pair) {
  return std::pow(
      static_cast<float>(config.theta),
      static_cast<float>(2 * pair) / static_cast<float>(config.head_dim));
}

// Long wavelengths are slowed by the factor, short ones kept, and those
// between the two wavelength limits interpolated.
float ScaleLlama3(const RopeScaling& s, float inverse_frequency) {
  const float factor = static_cast<float>(s.factor);
  const double original =
      static_cast<double>(s.original_max_position_embeddings);
  const float longest = static_cast<float>(original / s.low_freq_factor);
  const float shortest = static_cast<float>(original / s.high_freq_factor);
  const float wavelength = static_cast<float>(2.0 * kPi) / inverse_frequency;
  if (wavelength < shortest) return inverse_frequency;
  if (wavelength > longest) return inverse_frequency / factor;
  const float smooth =
      (static_cast<float>(original) / wavelength -
       static_cast<float>(s.low_freq_factor)) /
      static_cast<float>(s.high_freq_factor - s.low_freq_factor);
  return (1.0f - smooth) * inverse_frequency / factor +
         smooth * inverse_frequency;
}

// The channel pair whose wavelength makes `rotations` turns over the original
// context, as a real number.
double CorrectionDim(const RopeConfig& config, double rotations) {
  const double original =
      static_cast<double>(config.scaling.original_max_position_embeddings);
  return config.head_dim * std::log(original / (rotations * 2.0 * kPi)) /
         (2.0 * std::log(config.theta));
}

// Pairs before the ramp keep their frequency, pairs after it are slowed by the
// factor.
void ScaleYarn(const RopeConfig& config, std::vector<float>& frequencies) {
  const RopeScaling& s = config.scaling;
  const double low =
      std::max(std::floor(CorrectionDim(config, s.beta_fast)), 0.0);
  double high = std::min(std::ceil(CorrectionDim(config, s.beta_slow)),
                         config.head_dim - 1.0);
  if (low == high) high += 0.001;
  const float begin = static_cast<float>(low);
  const float len = static_cast<float>(high - low);
  const float factor = static_cast<float>(s.factor);
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    const float ramp = std::min(
        std::max((static_cast<float>(pair) - begin) / len, 0.0f), 1.0f);
    const float keep = 1.0f - ramp;
    const float base = InverseOfFrequency(config, static_cast<int>(pair));
    frequencies[pair] =
        1.0f / (factor * base) * (1.0f - keep) + 1.0f / base * keep;
  }
}

}  // namespace

absl::StatusOr<RopeFrequencies> MakeRopeFrequencies(const RopeConfig& config) {
  SEER_RETURN_IF_ERROR(CheckConfig(config));
  const RopeScaling& scaling = config.scaling;
  RopeFrequencies result;
  std::vector<float>& frequencies = result.inverse_frequencies;
  frequencies.resize(config.head_dim / 2);
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    frequencies[pair] =
        1.0f / InverseOfFrequency(config, static_cast<int>(pair));
  }
  switch (scaling.type) {
    case RopeScaling::Type::kDefault:
      break;
    case RopeScaling::Type::kLinear:
      for (float& f : frequencies) f /= static_cast<float>(scaling.factor);
      break;
    case RopeScaling::Type::kLlama3:
      for (float& f : frequencies) f = ScaleLlama3(scaling, f);
      break;
    case RopeScaling::Type::kYarn:
      ScaleYarn(config, frequencies);
      result.attention_factor =
          static_cast<float>(scaling.attention_factor > 0.0
                                 ? scaling.attention_factor
                                 : 0.1 * std::log(scaling.factor) + 1.0);
      break;
  }
  return result;
}

void FillRopeTable(const RopeFrequencies& frequencies, int64_t num_positions,
                   float* cos, float* sin) {
  const std::vector<float>& f = frequencies.inverse_frequencies;
  const int64_t half = static_cast<int64_t>(f.size());
  for (int64_t position = 0; position < num_positions; ++position) {
    for (int64_t pair = 0; pair < half; ++pair) {
      const float angle = static_cast<float>(position) * f[pair];
      cos[position * half + pair] =
          std::cos(angle) * frequencies.attention_factor;
      sin[position * half + pair] =
          std::sin(angle) * frequencies.attention_factor;
    }
  }
}

}  // namespace seer
