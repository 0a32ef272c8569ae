#include "kernels/top_tokens/reference/top_tokens_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace seer {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Of result i; NaN where it is of none.
std::vector<float> Row(const TopTokensArgs& args, int64_t i) {
  const int64_t row = args.row_indices == nullptr ? i : args.row_indices[i];
  if (row < 0) return std::vector<float>(args.vocab_size, kNan);
  std::vector<float> logits(args.vocab_size);
  for (int32_t id = 0; id < args.vocab_size; ++id) {
    const int64_t at = row * args.vocab_size + id;
    logits[id] =
        args.dtype == DType::kFloat32
            ? static_cast<const float*>(args.logits)[at]
            : static_cast<float>(static_cast<const BFloat16*>(args.logits)[at]);
  }
  return logits;
}

double LogSumExp(const std::vector<float>& logits, double max) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

// `order` is all tokens, best first; empty: of no row.
void Score(const TopTokensArgs& args, int64_t row,
           const std::vector<float>& logits,
           const std::vector<int32_t>& order) {
  const int32_t token = args.scored_tokens[row];
  const auto place = std::find(order.begin(), order.end(), token);
  const bool exists = place != order.end();
  args.scored_logits[row] = exists ? logits[token] : kNan;
  args.scored_ranks[row] =
      exists ? static_cast<int32_t>(place - order.begin()) : -1;
}

}  // namespace

void TopTokensReference(const TopTokensArgs& args) {
  for (int64_t row = 0; row < args.num_rows; ++row) {
    const std::vector<float> logits = Row(args, row);
    const bool is_finite =
        std::all_of(logits.begin(), logits.end(),
                    [](float logit) { return std::isfinite(logit); });
    std::vector<int32_t> order(args.vocab_size);
    std::iota(order.begin(), order.end(), 0);
    if (is_finite) {
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logits[a] > logits[b];
      });
    }
    for (int32_t i = 0; i < args.num_top; ++i) {
      args.ids[row * args.num_top + i] = is_finite ? order[i] : -1;
      args.top_logits[row * args.num_top + i] =
          is_finite ? logits[order[i]] : kNan;
    }
    if (args.log_sum_exp != nullptr) {
      args.log_sum_exp[row] =
          is_finite ? LogSumExp(logits, logits[order[0]]) : double{kNan};
    }
    if (args.scored_tokens != nullptr) {
      Score(args, row, logits, is_finite ? order : std::vector<int32_t>());
    }
  }
}

}  // namespace seer
