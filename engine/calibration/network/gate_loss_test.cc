#include "engine/calibration/network/gate_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor RandomNormal(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  double* const values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = normal(random);
  return tensor;
}

// Rows that sum to 1 over their visible blocks, some of them 0; the rest NaN.
at::Tensor RandomTarget(int64_t num_heads, int64_t num_tiles, uint64_t seed) {
  const at::Tensor hidden =
      VisibleBlocksOf(0, num_tiles, num_tiles, at::kCPU).logical_not();
  const at::Tensor weights =
      RandomNormal({num_heads, num_tiles, num_tiles}, seed)
          .clamp_min_(0.0)
          .masked_fill(hidden, 0.0);
  const at::Tensor sums = weights.sum(-1, /*keepdim=*/true).clamp_min_(1e-3);
  return (weights / sums).masked_fill(hidden, kNan);
}

class GateLossTest : public testing::TestWithParam<GateLoss> {
 protected:
  static constexpr int64_t kHeads = 2;
  static constexpr int64_t kTiles = 9;

  int64_t first_tile() const { return FirstLossTile(GetParam(), kTiles); }

  GateLossArgs Args(const at::Tensor& logits, int64_t first,
                    int64_t last) const {
    GateLossArgs args;
    args.loss = GetParam();
    args.first_tile = first;
    args.num_terms =
        static_cast<double>(kHeads * NumLossTerms(GetParam(), kTiles));
    args.logits = logits.narrow(1, first, last - first).narrow(2, 0, last);
    args.target = target_.narrow(1, first, last - first).narrow(2, 0, last);
    return args;
  }
  GateLossResult Whole(const at::Tensor& logits) const {
    return ComputeGateLoss(Args(logits, first_tile(), kTiles));
  }

  // What a row of the target stands for, block by block.
  static std::vector<double> TargetOf(const double* row, int64_t num_blocks) {
    std::vector<double> target(row, row + num_blocks);
    if (GetParam() != GateLoss::kKlOfRoot) return target;
    double sum = 0.0;
    for (double& entry : target) sum += entry = std::sqrt(entry);
    for (double& entry : target) entry = sum > 0.0 ? entry / sum : 0.0;
    return target;
  }

  // The definition, entry by entry.
  double Plain() const {
    double sum = 0.0;
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t i = first_tile(); i < kTiles; ++i) {
        const double* x =
            &logits_.const_data_ptr<double>()[(h * kTiles + i) * kTiles];
        const std::vector<double> t = TargetOf(
            &target_.const_data_ptr<double>()[(h * kTiles + i) * kTiles],
            i + 1);
        double exps = 0.0;
        for (int64_t j = 0; j <= i; ++j) exps += std::exp(x[j]);
        for (int64_t j = 0; j <= i; ++j) {
          const double prob = std::exp(x[j]) / exps;
          if (GetParam() == GateLoss::kMse) {
            sum += (prob - t[j]) * (prob - t[j]);
          } else if (t[j] > 0.0) {
            sum += t[j] * (std::log(t[j]) - std::log(prob));
          }
        }
      }
    }
    const int64_t num_rows = kTiles - first_tile();
    const bool counts_rows =
        GetParam() == GateLoss::kKl || GetParam() == GateLoss::kKlOfRoot;
    const int64_t row_terms = counts_rows ? 1 : kTiles;
    return sum / static_cast<double>(kHeads * num_rows * row_terms);
  }

  const at::Tensor logits_ = RandomNormal({kHeads, kTiles, kTiles}, 1);
  const at::Tensor target_ = RandomTarget(kHeads, kTiles, 2);
};

TEST_P(GateLossTest, IsItsDefinition) {
  // Each of the terms rounds a few times.
  EXPECT_NEAR(Whole(logits_).value.item<double>(), Plain(),
              Plain() * 8 * kTiles * kTiles * 0x1p-53);
}

TEST_P(GateLossTest, IgnoresWhatIsNotVisible) {
  const at::Tensor hidden =
      VisibleBlocksOf(0, kTiles, kTiles, at::kCPU).logical_not();
  const GateLossResult clean = Whole(logits_);
  const GateLossResult result = Whole(logits_.masked_fill(hidden, kNan));
  EXPECT_EQ(result.value.item<double>(), clean.value.item<double>());
  EXPECT_TRUE(result.gradient.equal(clean.gradient));
  EXPECT_EQ(
      result.gradient
          .masked_select(hidden.narrow(0, first_tile(), kTiles - first_tile()))
          .count_nonzero()
          .item<int64_t>(),
      0);
}

TEST_P(GateLossTest, RangesAddUp) {
  const GateLossResult whole = Whole(logits_);
  double sum = 0.0;
  for (int64_t first = first_tile(); first < kTiles;) {
    const int64_t last = std::min(kTiles, first + 2);
    const GateLossResult part = ComputeGateLoss(Args(logits_, first, last));
    sum += part.value.item<double>();
    // A row's gradient is its own.
    EXPECT_TRUE(at::Tensor(part.gradient)
                    .allclose(whole.gradient
                                  .narrow(1, first - first_tile(), last - first)
                                  .narrow(2, 0, last),
                              /*rtol=*/kTiles * 0x1p-50, /*atol=*/0x1p-53));
    first = last;
  }
  EXPECT_NEAR(sum, whole.value.item<double>(), sum * 0x1p-49);
}

// Central differences: the error of one of half the step is a third of the
// change, and the loss's own rounding grows by 1 / step.
TEST_P(GateLossTest, GradientIsThatOfDifferences) {
  const GateLossResult whole = Whole(logits_);
  constexpr double kStep = 1e-3;
  const double rounding =
      whole.value.item<double>() * 8 * kTiles * kTiles * 0x1p-53 / kStep;
  for (int64_t h = 0; h < kHeads; ++h) {
    for (int64_t i = first_tile(); i < kTiles; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const auto slope = [&](double step) {
          const at::Tensor up = logits_.clone();
          up[h][i][j] += step;
          const at::Tensor down = logits_.clone();
          down[h][i][j] -= step;
          return (Whole(up).value - Whole(down).value).item<double>() /
                 (2.0 * step);
        };
        const double coarse = slope(kStep);
        const double fine = slope(kStep / 2);
        EXPECT_NEAR(whole.gradient[h][i - first_tile()][j].item<double>(), fine,
                    std::abs(coarse - fine) + 4 * rounding)
            << h << " " << i << " " << j;
      }
    }
  }
}

TEST_P(GateLossTest, IsZeroWhereTheGateIsRight) {
  const at::Tensor hidden =
      VisibleBlocksOf(0, kTiles, kTiles, at::kCPU).logical_not();
  GateLossArgs args = Args(logits_, first_tile(), kTiles);
  args.target =
      at::softmax(args.logits.masked_fill(
                      hidden.narrow(0, first_tile(), kTiles - first_tile()),
                      -std::numeric_limits<double>::infinity()),
                  -1);
  if (GetParam() == GateLoss::kKlOfRoot) args.target = args.target.square();
  const GateLossResult result = ComputeGateLoss(args);
  EXPECT_NEAR(result.value.item<double>(), 0.0, kTiles * 0x1p-50);
  EXPECT_NEAR(result.gradient.abs().max().item<double>(), 0.0, 0x1p-50);
}

// In fp32, as masses come: rows of two visible blocks, of which the first
// head's has no mass at all and the second's the least there is.
TEST(GateLossRootTest, RowsOfNoMassHaveNoLossAndOthersAllOfTheirs) {
  GateLossArgs args;
  args.loss = GateLoss::kKlOfRoot;
  args.first_tile = 1;
  args.num_terms = 1.0;
  args.logits = at::zeros({2, 1, 2}, at::kFloat);
  args.target = at::zeros({2, 1, 2}, at::kFloat);
  args.target[1][0][0].fill_(std::numeric_limits<float>::denorm_min());
  const GateLossResult result = ComputeGateLoss(args);
  EXPECT_FLOAT_EQ(static_cast<float>(result.value.item<double>()),
                  static_cast<float>(std::log(2.0)));
  EXPECT_EQ(result.gradient[0].count_nonzero().item<int64_t>(), 0);
  EXPECT_FLOAT_EQ(result.gradient[1][0][0].item<float>(), -0.5f);
  EXPECT_FLOAT_EQ(result.gradient[1][0][1].item<float>(), 0.5f);
}

INSTANTIATE_TEST_SUITE_P(Losses, GateLossTest,
                         testing::Values(GateLoss::kKl, GateLoss::kKlOfRoot,
                                         GateLoss::kKlReference,
                                         GateLoss::kMse),
                         [](const auto& info) -> std::string {
                           switch (info.param) {
                             case GateLoss::kKl:
                               return "kl";
                             case GateLoss::kKlOfRoot:
                               return "kl_of_root";
                             case GateLoss::kKlReference:
                               return "kl_reference";
                             default:
                               return "mse";
                           }
                         });

}  // namespace
}  // namespace seer
