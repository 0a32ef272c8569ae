#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/calibration/testing/teacher_gate.h"
#include "engine/calibration/training/layer_trainer.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

struct Case {
  std::string device;
  std::string design;
  DType dtype;
};

class LayerConvergenceTest : public testing::TestWithParam<Case> {};

// A gate of the same design can be the teacher itself, so the least loss is 0.
// The rates of all steps sum to more than any weight's distance, and there are
// many more rows than weights. KL grows as the square of a logit's error: a
// tenth of it is left where the gate knows nine tenths of a logit's variance.
TEST_P(LayerConvergenceTest, FindsTheTeacher) {
  const Case& param = GetParam();
  const std::string missing = MissingDevice(param.device);
  if (!missing.empty()) GTEST_SKIP() << missing;
  auto opened = OpenTestDevice(param.device, nullptr);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::unique_ptr<Device> device = *std::move(opened);
  ASSERT_TRUE(device->BindThisThread().ok());

  LayerTrainerOptions options;
  options.shape.num_layers = 1;
  options.shape.num_query_heads = 4;
  options.shape.num_kv_heads = 2;
  options.shape.head_dim = 16;
  options.shape.dtype = param.dtype;
  options.design = ParseGateDesign(param.design).value();
  options.training.schedule.peak = 0.02;
  options.training.schedule.num_steps = 150;
  options.training.schedule.num_warmup_steps = 10;
  options.training.seed = 5;
  const TeacherGate teacher(options.shape, options.design, 1600, 3,
                            device.get());
  auto made = LayerTrainer::Create(options, teacher.rope(), device.get());
  ASSERT_TRUE(made.ok()) << made.status();
  const std::unique_ptr<LayerTrainer> trainer = *std::move(made);

  std::vector<double> losses;
  uint64_t seed = 100;
  for (int64_t step = 0; step < options.training.schedule.num_steps; ++step) {
    const std::vector<int64_t> lens = {1600, 1030, 400, 1217};
    ASSERT_TRUE(trainer->BeginStep(step, lens).ok());
    for (const int64_t len : lens) {
      const TaughtSequence sequence = teacher.MakeSequence(len, ++seed);
      for (int64_t first = 0; first < sequence.num_tiles(); first += 8) {
        const int64_t last = std::min(sequence.num_tiles(), first + 8);
        ASSERT_TRUE(trainer->AddRange(sequence.Range(first, last)).ok());
      }
      ASSERT_TRUE(trainer->EndSequence().ok());
    }
    const auto result = trainer->EndStep();
    ASSERT_TRUE(result.ok()) << result.status();
    losses.push_back(result->loss);
  }
  std::printf("%s %s: loss %g, then %g\n", param.device.c_str(),
              param.design.c_str(), losses.front(), losses.back());
  EXPECT_LT(losses.back(), losses.front() / 10);
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const std::string& device : RealTestDevices()) {
    cases.push_back({device, "Qavg_Kmaxminavg", DType::kBFloat16});
    cases.push_back({device, "Qmaxmin_Kavg", DType::kBFloat16});
    cases.push_back({device, "Qavg_Kmaxmin", DType::kFloat32});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Gates, LayerConvergenceTest,
                         testing::ValuesIn(AllCases()), [](const auto& info) {
                           return info.param.device + "_" + info.param.design;
                         });

}  // namespace
}  // namespace seer
