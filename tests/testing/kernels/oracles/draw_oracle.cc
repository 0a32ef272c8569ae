#include "tests/testing/kernels/oracles/draw_oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/sample_tokens/reference/sample_tokens_reference.h"

namespace seer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Of SampleTokens' weights.
constexpr double kUnit = 0x1p-43;

// Of a weight e^x, x <= 0: the difference of logits, 1 / temperature and their
// product each round to fp32; an approximate exponential is good to 2^-22
// (PTX, ex2.approx); the weight rounds to whole units.
double WeightError(double x) {
  const double exponent_error = -x * 3 * 0x1p-24;
  return std::exp(x) * std::expm1(exponent_error + 0x1p-22) + kUnit / 2;
}

}  // namespace

DrawOracle::DrawOracle(const SampleTokensArgs& args, const TokenDraw& draw) {
  const std::vector<float> logits = AdjustedLogits(args, draw);
  const auto best = std::max_element(logits.begin(), logits.end());
  if (logits.empty() || *best == -kInfinity) {
    only_ = -1;
    return;
  }
  if (draw.temperature == 0.0) {
    only_ = static_cast<int32_t>(best - logits.begin());
    return;
  }
  order_ = DrawOrder(logits, draw);
  Weigh(logits, *best, std::max(draw.temperature, kLowestTemperature));
  const int64_t num_tokens = order_.size();
  kept_ = DrawsInOrderOfLogit(draw, args.vocab_size)
              ? KeptLengths(logits, *best, draw)
              : Lengths{num_tokens, num_tokens};
}

void DrawOracle::Weigh(const std::vector<float>& logits, float max,
                       double temperature) {
  Beginning beginning;
  beginnings_.push_back(beginning);
  for (const int32_t id : order_) {
    const double x = (double{logits[id]} - max) / temperature;
    if (logits[id] != -kInfinity) {
      beginning.mass += std::exp(x);
      // Far below a unit, and x * 0 would not do at -infinity.
      beginning.error += x < -1000.0 ? kUnit / 2 : WeightError(x);
    }
    beginnings_.push_back(beginning);
  }
}

DrawOracle::Lengths DrawOracle::KeptLengths(const std::vector<float>& logits,
                                            float max,
                                            const TokenDraw& draw) const {
  int64_t num_kept = order_.size();
  if (draw.top_k > 0) num_kept = std::min<int64_t>(num_kept, draw.top_k);
  Lengths lengths = {num_kept, num_kept};
  if (draw.top_p < 1.0) {
    const double low = draw.top_p * beginnings_[num_kept].Least();
    const double high = draw.top_p * beginnings_[num_kept].Most() + kUnit;
    lengths.fewest = lengths.most = 1;
    while (lengths.fewest < num_kept &&
           beginnings_[lengths.fewest].Most() < low) {
      ++lengths.fewest;
    }
    while (lengths.most < num_kept &&
           beginnings_[lengths.most].Least() < high) {
      ++lengths.most;
    }
  }
  if (draw.min_p > 0.0) {
    const double temperature = std::max(draw.temperature, kLowestTemperature);
    const double distance = temperature * std::log(draw.min_p);
    // Of this in double, and of an exponential that is compared with min_p.
    const double error =
        0x1p-50 * (std::abs(double{max}) - distance + temperature);
    const auto num_above = [&](double lowest) {
      int64_t num = 1;
      while (num < num_kept && logits[order_[num]] >= lowest) ++num;
      return num;
    };
    lengths.fewest =
        std::min(lengths.fewest, num_above(max + distance + error));
    lengths.most = std::min(lengths.most, num_above(max + distance - error));
  }
  return lengths;
}

testing::AssertionResult DrawOracle::Allows(int32_t id, double uniform) const {
  if (only_ != -2) {
    if (id == only_) return testing::AssertionSuccess();
    return testing::AssertionFailure() << id << " is not " << only_;
  }
  const int64_t rank =
      std::find(order_.begin(), order_.end(), id) - order_.begin();
  if (rank >= kept_.most) {
    return testing::AssertionFailure()
           << "token " << id << " is at " << rank << " of at most "
           << kept_.most << " kept";
  }
  const Beginning& before = beginnings_[rank];
  const Beginning& through = beginnings_[rank + 1];
  if (through.error == before.error) {
    return testing::AssertionFailure() << "token " << id << " is banned";
  }
  const double low = uniform * beginnings_[kept_.fewest].Least();
  const double high = uniform * beginnings_[kept_.most].Most();
  if (before.Least() <= high && through.Most() > low) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "token " << id << ", at " << rank << " of " << kept_.fewest << ".."
         << kept_.most << " kept, is drawn from " << before.mass << " -"
         << before.error << " to " << through.mass << " +" << through.error
         << ", not by " << low << " to " << high;
}

}  // namespace seer
