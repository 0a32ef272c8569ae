#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/sample_tokens/sample_tokens.h"

namespace seer {
namespace {

// Also false for NaN.
bool IsWithin(double value, double low, double high) {
  return value >= low && value <= high;
}

// What of the options is out of its range; null: nothing.
const char* BadOption(const TokenDraw& draw) {
  if (!IsWithin(draw.temperature, 0.0, kHighestTemperature)) {
    return "temperature";
  }
  if (!IsWithin(draw.top_p, 0.0, 1.0) || draw.top_p == 0.0) return "top_p";
  if (!IsWithin(draw.min_p, 0.0, 1.0)) return "min_p";
  if (!std::isfinite(draw.repetition_penalty) ||
      draw.repetition_penalty <= 0.0) {
    return "repetition_penalty";
  }
  if (!std::isfinite(draw.presence_penalty)) return "presence_penalty";
  if (!std::isfinite(draw.frequency_penalty)) return "frequency_penalty";
  if (!IsWithin(draw.uniform, 0.0, 1.0) || draw.uniform == 1.0) {
    return "uniform";
  }
  return nullptr;
}

absl::Status CheckAdjustments(const SampleTokensArgs& args,
                              const TokenDraw& draw) {
  if (draw.num_adjustments == 0) return absl::OkStatus();
  std::vector<bool> adjusted(args.vocab_size);
  for (int32_t i = 0; i < draw.num_adjustments; ++i) {
    const TokenAdjustment& a = args.adjustments[draw.first_adjustment + i];
    if (a.token < 0 || a.token >= args.vocab_size || adjusted[a.token] ||
        !std::isfinite(a.bias)) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", a.token, ", bias ", a.bias));
    }
    adjusted[a.token] = true;
  }
  return absl::OkStatus();
}

absl::Status CheckDraw(const SampleTokensArgs& args, const TokenDraw& draw) {
  if (draw.row < 0 || draw.row >= args.num_rows) {
    return absl::InvalidArgumentError(absl::StrCat("row ", draw.row));
  }
  if (const char* const option = BadOption(draw)) {
    return absl::InvalidArgumentError(option);
  }
  if (draw.first_adjustment < 0 || draw.num_adjustments < 0 ||
      int64_t{draw.first_adjustment} + draw.num_adjustments >
          args.num_adjustments) {
    return absl::InvalidArgumentError(absl::StrCat(
        "adjustments ", draw.first_adjustment, " + ", draw.num_adjustments));
  }
  return CheckAdjustments(args, draw);
}

}  // namespace

absl::Status CheckDraws(const SampleTokensArgs& args) {
  for (int64_t i = 0; i < args.num_draws; ++i) {
    if (args.draws[i].row == -1) continue;
    const absl::Status status = CheckDraw(args, args.draws[i]);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample_tokens: draw ", i, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace seer
