#include "engine/calibration/training/adam_w.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/model/aten/aten.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"

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

class AdamWDeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    device_ = OpenTestDevice(GetParam(), nullptr).value();
    ASSERT_TRUE(device_->BindThisThread().ok());
  }
  at::Tensor Floats(const std::vector<double>& values) const {
    return at::tensor(values, at::kFloat).to(AtenDevice(*device_));
  }

  std::unique_ptr<Device> device_;
};

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

// The formula in double, entry by entry, beside fp32 tensors that fill vectors
// of the processor and leave a rest.
TEST_P(AdamWDeviceTest, ManyWeightsInFp32) {
  constexpr int kSize = 100;
  constexpr double kRate = 0.1;
  AdamWOptions options;
  options.weight_decay = 0.5;
  options.max_gradient_norm = 2.0;
  std::vector<double> weights(kSize), m(kSize), v(kSize);
  for (int i = 0; i < kSize; ++i) weights[i] = std::sin(i);
  const at::Tensor tensor = Floats(weights);
  AdamWState state({tensor});
  for (int t = 1; t <= 3; ++t) {
    std::vector<double> gradients(kSize);
    double squares = 0.0;
    for (int i = 0; i < kSize; ++i) {
      gradients[i] = std::cos(i * t) / t;
      squares += gradients[i] * gradients[i];
    }
    const double clip = std::min(1.0, 2.0 / (std::sqrt(squares) + 1e-6));
    const at::Tensor gradient = Floats(gradients);
    UpdateWeights(options, kRate, GradientNorm({gradient}).item<double>(),
                  {gradient}, &state, {tensor});
    for (int i = 0; i < kSize; ++i) {
      const double g = clip * gradients[i];
      m[i] = options.beta1 * m[i] + (1.0 - options.beta1) * g;
      v[i] = options.beta2 * v[i] + (1.0 - options.beta2) * g * g;
      weights[i] *= 1.0 - kRate * options.weight_decay;
      weights[i] -= kRate / (1.0 - std::pow(options.beta1, t)) * m[i] /
                    (std::sqrt(v[i] / (1.0 - std::pow(options.beta2, t))) +
                     options.epsilon);
    }
  }
  // A dozen roundings of a weight and of its move, each about 1 at most, a
  // step.
  const at::Tensor got = tensor.cpu();
  for (int i = 0; i < kSize; ++i) {
    EXPECT_NEAR(got[i].item<double>(), weights[i], 3 * 12 * 0x1p-24) << i;
  }
}

TEST(AdamWTest, AGradientOfZerosMovesNothing) {
  const at::Tensor weight = Values({1.0, -2.0});
  AdamWState state({weight});
  Update({}, {Values({0.0, 0.0})}, &state, {weight});
  EXPECT_EQ(weight[0].item<double>(), 1.0);
  EXPECT_EQ(weight[1].item<double>(), -2.0);
}

INSTANTIATE_TEST_SUITE_P(Devices, AdamWDeviceTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
