#include "engine/calibration/training/adam_w.h"

#include <ATen/ops/tensor.h>

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

// 1 - beta2 and 1 - beta2^t are thousandths, left over from numbers near 1: an
// update, of 0.1 at most, is known to a few times this.
constexpr double kRounding = 4 * 0.1 * 0x1p-53 / 0.001;

at::Tensor Values(std::vector<double> values) {
  return at::tensor(values, at::kDouble);
}

void Update(const AdamWOptions& options, std::vector<at::Tensor> gradients,
            AdamWState* state, const std::vector<at::Tensor>& weights) {
  UpdateWeights(options, /*learning_rate=*/0.1,
                GradientNorm(gradients).item<double>(), gradients, state,
                weights);
}

// By hand, from the formula with forty digits: rate 0.1, gradients 1/2, -1/4
// and 1/8.
TEST(AdamWTest, ThreeStepsByHand) {
  const at::Tensor weight = Values({1.0});
  AdamWState state({weight});
  const double gradients[] = {0.5, -0.25, 0.125};
  const double want[] = {0.90000000199999996, 0.87336629870782065,
                         0.83932338491665397};
  for (int step = 0; step < 3; ++step) {
    Update({}, {Values({gradients[step]})}, &state, {weight});
    EXPECT_NEAR(weight.item<double>(), want[step], kRounding);
    EXPECT_EQ(state.num_updates, step + 1);
  }
}

// A gradient of norm 5 over two tensors is cut to 1 and one of 1/2 is not;
// weights shrink by a twentieth first.
TEST(AdamWTest, ClipsOverAllTensorsAndDecays) {
  AdamWOptions options;
  options.weight_decay = 0.5;
  const std::vector<at::Tensor> weights = {Values({1.0}), Values({-2.0})};
  AdamWState state(weights);
  const std::vector<at::Tensor> gradients = {Values({3.0}), Values({4.0})};
  EXPECT_DOUBLE_EQ(GradientNorm(gradients).item<double>(), 5.0);
  Update(options, gradients, &state, weights);
  EXPECT_NEAR(weights[0].item<double>(), 0.85000000166666697, kRounding);
  EXPECT_NEAR(weights[1].item<double>(), -1.9999999987499998, 2 * kRounding);
  Update(options, {Values({0.3}), Values({-0.4})}, &state, weights);
  EXPECT_NEAR(weights[0].item<double>(), 0.71428203674097362, kRounding);
  EXPECT_NEAR(weights[1].item<double>(), -1.9266336946327342, 2 * kRounding);
}

TEST(AdamWTest, AGradientOfZerosMovesNothing) {
  const at::Tensor weight = Values({1.0, -2.0});
  AdamWState state({weight});
  Update({}, {Values({0.0, 0.0})}, &state, {weight});
  EXPECT_EQ(weight[0].item<double>(), 1.0);
  EXPECT_EQ(weight[1].item<double>(), -2.0);
}

}  // namespace
}  // namespace seer
