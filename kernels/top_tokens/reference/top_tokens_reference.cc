#include "kernels/top_tokens/reference/top_tokens_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace seer {
namespace {

std::vector<float> Row(const TopTokensArgs& args, int64_t row) {
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
          is_finite ? logits[order[i]]
                    : std::numeric_limits<float>::quiet_NaN();
    }
    if (args.log_sum_exp != nullptr) {
      args.log_sum_exp[row] = is_finite
                                  ? LogSumExp(logits, logits[order[0]])
                                  : std::numeric_limits<double>::quiet_NaN();
    }
  }
}

}  // namespace seer
