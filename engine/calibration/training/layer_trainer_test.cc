#include "engine/calibration/training/layer_trainer.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/testing/teacher_gate.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

constexpr int64_t kMaxTokens = 1200;

GateShape SmallShape(DType dtype) {
  GateShape shape;
  shape.num_layers = 4;
  shape.num_query_heads = 4;
  shape.num_kv_heads = 2;
  shape.head_dim = 16;
  shape.dtype = dtype;
  return shape;
}

class LayerTrainerTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    auto device = OpenTestDevice(GetParam(), nullptr);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    ASSERT_TRUE(device_->BindThisThread().ok());
    options_.shape = SmallShape(DType::kBFloat16);
    options_.layer = 2;
    options_.training.schedule.num_steps = 6;
    options_.training.schedule.num_warmup_steps = 2;
    options_.training.seed = 11;
    SetDesign("Qavg_Kmaxminavg");
  }
  void TearDown() override {
    // Its memory goes before the device.
    sequences_.clear();
    teacher_.reset();
  }

  void SetDesign(const char* name) {
    options_.design = ParseGateDesign(name).value();
    teacher_ = std::make_unique<TeacherGate>(options_.shape, options_.design,
                                             kMaxTokens, 3, device_.get());
    sequences_ = {teacher_->MakeSequence(1200, 1),
                  teacher_->MakeSequence(130, 2),
                  teacher_->MakeSequence(700, 3)};
  }

  std::unique_ptr<LayerTrainer> Make() {
    auto trainer =
        LayerTrainer::Create(options_, teacher_->rope(), device_.get());
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    return *std::move(trainer);
  }

  std::vector<int64_t> Lens() const {
    std::vector<int64_t> lens;
    for (const TaughtSequence& s : sequences_) lens.push_back(s.num_tokens);
    return lens;
  }

  // One step over all sequences, in ranges of `range` tiles.
  absl::StatusOr<StepResult> RunStep(LayerTrainer* trainer, int64_t range = 4) {
    absl::Status status = trainer->BeginStep(trainer->next_step(), Lens());
    for (const TaughtSequence& sequence : sequences_) {
      for (int64_t first = 0; first < sequence.num_tiles(); first += range) {
        const int64_t last = std::min(sequence.num_tiles(), first + range);
        status.Update(trainer->AddRange(sequence.Range(first, last)));
      }
      status.Update(trainer->EndSequence());
    }
    if (!status.ok()) return status;
    return trainer->EndStep();
  }

  Checkpoint Saved(const LayerTrainer& trainer) {
    Checkpoint checkpoint;
    EXPECT_TRUE(trainer.Save(&checkpoint).ok());
    return checkpoint;
  }

  std::unique_ptr<Device> device_;
  LayerTrainerOptions options_;
  std::unique_ptr<TeacherGate> teacher_;
  std::vector<TaughtSequence> sequences_;
};

std::vector<float> Floats(const Checkpoint& checkpoint,
                          const std::string& name) {
  const std::vector<uint8_t>& bytes = checkpoint.at(name).bytes;
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

bool Equal(const Checkpoint& a, const Checkpoint& b) {
  return a.size() == b.size() &&
         std::equal(
             a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
               return x.first == y.first && x.second.bytes == y.second.bytes;
             });
}

TEST_P(LayerTrainerTest, IsReproducibleBitForBit) {
  const auto first = Make();
  const auto second = Make();
  for (int step = 0; step < 4; ++step) {
    const auto a = RunStep(first.get());
    const auto b = RunStep(second.get());
    ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
    EXPECT_EQ(a->loss, b->loss);
    EXPECT_EQ(a->gradient_norm, b->gradient_norm);
  }
  EXPECT_TRUE(Equal(Saved(*first), Saved(*second)));
}

TEST_P(LayerTrainerTest, WeightsBeginBySeed) {
  const Checkpoint start = Saved(*Make());
  EXPECT_TRUE(Equal(Saved(*Make()), start));
  options_.training.seed = 12;
  EXPECT_FALSE(Equal(Saved(*Make()), start));
}

TEST_P(LayerTrainerTest, GoesOnFromACheckpointBitForBit) {
  const auto whole = Make();
  for (int step = 0; step < 4; ++step) ASSERT_TRUE(RunStep(whole.get()).ok());

  const auto before = Make();
  for (int step = 0; step < 2; ++step) ASSERT_TRUE(RunStep(before.get()).ok());
  const Checkpoint checkpoint = Saved(*before);
  // A step that was begun and never ended leaves no trace.
  ASSERT_TRUE(before->BeginStep(2, Lens()).ok());
  ASSERT_TRUE(before->AddRange(sequences_[0].Range(0, 19)).ok());
  Checkpoint none;
  EXPECT_EQ(before->Save(&none).code(), absl::StatusCode::kFailedPrecondition);

  options_.training.seed = 99;  // of weights that Load replaces
  const auto after = Make();
  ASSERT_TRUE(after->Load(checkpoint).ok());
  EXPECT_EQ(after->next_step(), 2);
  for (int step = 0; step < 2; ++step) {
    ASSERT_TRUE(RunStep(after.get()).ok());
    ASSERT_TRUE(RunStep(before.get()).ok());
  }
  EXPECT_TRUE(Equal(Saved(*after), Saved(*whole)));
  EXPECT_TRUE(Equal(Saved(*before), Saved(*whole)));
}

// In fp32: where sums are rounded to bf16, their order may show.
TEST_P(LayerTrainerTest, LossDoesNotDependOnRanges) {
  options_.shape.dtype = DType::kFloat32;
  for (const char* design : {"Qavg_Kmaxminavg", "Qmaxmin_Kavg"}) {
    SetDesign(design);
    for (const GateLoss loss : {GateLoss::kKl, GateLoss::kKlOfRoot,
                                GateLoss::kKlReference, GateLoss::kMse}) {
      options_.training.loss = loss;
      const auto whole = RunStep(Make().get(), 1000);
      ASSERT_TRUE(whole.ok()) << whole.status();
      EXPECT_GT(whole->loss, 0.0);
      for (const int64_t range : {1, 3, 8}) {
        const auto parts = RunStep(Make().get(), range);
        ASSERT_TRUE(parts.ok()) << parts.status();
        // fp32 sums of a row's or a column's at most 19 terms, of 16 channels
        // each, in another order.
        constexpr double kRounding = 19 * 16 * 0x1p-24;
        EXPECT_NEAR(parts->loss, whole->loss, whole->loss * kRounding);
        EXPECT_NEAR(parts->gradient_norm, whole->gradient_norm,
                    whole->gradient_norm * kRounding);
      }
    }
  }
}

TEST_P(LayerTrainerTest, ATeacherHasNoLoss) {
  options_.shape.dtype = DType::kFloat32;
  SetDesign("Qavg_Kmaxminavg");
  const auto trainer = Make();
  Checkpoint checkpoint = Saved(*trainer);
  const at::Tensor weights = teacher_->network().weights.linear_k.cpu();
  std::memcpy(checkpoint.at("layers.2.linear_k").bytes.data(),
              weights.const_data_ptr(), weights.nbytes());
  ASSERT_TRUE(trainer->Load(checkpoint).ok());
  const auto result = RunStep(trainer.get());
  ASSERT_TRUE(result.ok()) << result.status();
  // Logits are a few units, each wrong by some hundred roundings at most; the
  // loss is a difference of logarithms.
  EXPECT_NEAR(result->loss, 0.0, 300 * 4 * 0x1p-24);
}

// The first step leaves a tenth of the gradient g in the first moment. The
// second has the same weights and sequences, so the same g; both moments,
// corrected, are then those of g alone, and a weight moves by
// rate g / (|g| + epsilon): by the rate, whatever its gradient.
TEST_P(LayerTrainerTest, FirstStepMovesByNothingAndTheNextByTheRate) {
  options_.training.schedule.peak = 0.25;
  const auto trainer = Make();
  const std::vector<float> start = Floats(Saved(*trainer), "layers.2.linear_k");
  auto result = RunStep(trainer.get());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->learning_rate, 0.0);
  EXPECT_GT(result->gradient_norm, 0.0);
  const Checkpoint first = Saved(*trainer);
  EXPECT_EQ(Floats(first, "layers.2.linear_k"), start);
  const std::vector<float> moments =
      Floats(first, "layers.2.linear_k.first_moment");

  result = RunStep(trainer.get());
  ASSERT_TRUE(result.ok());
  constexpr double kRate = 0.125;
  EXPECT_EQ(result->learning_rate, kRate);
  const std::vector<float> end = Floats(Saved(*trainer), "layers.2.linear_k");
  const AdamWOptions& adam_w = options_.training.adam_w;
  size_t num_moved_by_the_rate = 0;
  for (size_t i = 0; i < start.size(); ++i) {
    const double gradient = moments[i] / (1.0 - adam_w.beta1);
    const double size = std::abs(gradient);
    const double move = -kRate * gradient / (size + adam_w.epsilon);
    // Fewer than 16 roundings of factors of the move, and one of the sum.
    const double rounding = (16 * kRate + std::abs(start[i]) + kRate) * 0x1p-24;
    ASSERT_NEAR(double{end[i]} - start[i], move, rounding) << i;
    if (size > 100 * adam_w.epsilon) ++num_moved_by_the_rate;
  }
  EXPECT_GT(num_moved_by_the_rate, start.size() / 2);
}

TEST_P(LayerTrainerTest, DivergenceNamesLayerAndStep) {
  const auto trainer = Make();
  ASSERT_TRUE(RunStep(trainer.get()).ok());
  const Checkpoint before = Saved(*trainer);
  const TaughtSequence good = sequences_[0];
  sequences_[0].target = good.target.clone();
  sequences_[0].target[10][1][3].fill_(std::numeric_limits<float>::quiet_NaN());
  const absl::Status status = RunStep(trainer.get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_NE(status.message().find("layer 2, step 1: the loss is"),
            absl::string_view::npos)
      << status;
  // The step can be repeated.
  EXPECT_TRUE(Equal(Saved(*trainer), before));
  sequences_[0] = good;
  EXPECT_TRUE(RunStep(trainer.get()).ok());
}

// Of a sequence of one tile the gradient is 0, and with it both moments.
TEST_P(LayerTrainerTest, MomentsOfNothingMoveNothing) {
  options_.training.adam_w.epsilon = 1e-12;
  sequences_ = {teacher_->MakeSequence(64, 1)};
  const auto trainer = Make();
  const std::vector<float> start = Floats(Saved(*trainer), "layers.2.linear_k");
  for (int step = 0; step < 3; ++step) {
    const auto result = RunStep(trainer.get());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->gradient_norm, 0.0);
  }
  EXPECT_EQ(Floats(Saved(*trainer), "layers.2.linear_k"), start);
}

TEST_P(LayerTrainerTest, RefusesWhatIsOutOfOrder) {
  const auto trainer = Make();
  const auto code = [](const absl::Status& status) { return status.code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kTooEarly = absl::StatusCode::kFailedPrecondition;
  const TaughtSequence& sequence = sequences_[0];  // 19 tiles, 4 are dropped
  EXPECT_EQ(code(trainer->AddRange(sequence.Range(0, 4))), kTooEarly);
  EXPECT_EQ(code(trainer->EndSequence()), kTooEarly);
  EXPECT_EQ(code(trainer->EndStep().status()), kTooEarly);
  EXPECT_EQ(code(trainer->BeginStep(1, {1200})), kInvalid);
  EXPECT_EQ(code(trainer->BeginStep(0, {})), kInvalid);
  EXPECT_EQ(code(trainer->BeginStep(0, {0})), kInvalid);
  EXPECT_EQ(code(trainer->BeginStep(0, {kMaxTokens + 64})), kInvalid);

  const auto begun = [&] {
    ASSERT_TRUE(trainer->BeginStep(0, {1200}).ok());
    ASSERT_TRUE(trainer->AddRange(sequence.Range(4, 8)).ok());
  };
  begun();
  EXPECT_EQ(code(trainer->AddRange(sequence.Range(9, 10))), kInvalid);
  begun();
  EXPECT_EQ(code(trainer->AddRange(sequence.Range(4, 8))), kInvalid);
  begun();
  EXPECT_EQ(code(trainer->EndSequence()), kTooEarly);
  begun();
  EXPECT_EQ(code(trainer->EndStep().status()), kTooEarly);
  TileRange range = sequence.Range(8, 12);
  range.row_len = 11;
  EXPECT_EQ(code(trainer->AddRange(range)), kTooEarly) << "the step is void";
  begun();
  EXPECT_EQ(code(trainer->AddRange(range)), kInvalid);
  begun();
  range = sequence.Range(8, 12);
  range.target = nullptr;
  EXPECT_EQ(code(trainer->AddRange(range)), kInvalid);
  // A sequence may begin where its loss does, not later.
  ASSERT_TRUE(trainer->BeginStep(0, {1200}).ok());
  EXPECT_EQ(code(trainer->AddRange(sequence.Range(5, 8))), kInvalid);
  begun();
  ASSERT_TRUE(trainer->AddRange(sequence.Range(8, 19)).ok());
  ASSERT_TRUE(trainer->EndSequence().ok());
  EXPECT_TRUE(trainer->EndStep().ok());
}

TEST_P(LayerTrainerTest, RefusesOptionsAndCheckpoints) {
  const auto trainer = Make();
  Checkpoint checkpoint = Saved(*trainer);
  checkpoint.erase("layers.2.linear_k.second_moment");
  const absl::Status status = trainer->Load(checkpoint);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("layers.2.linear_k.second_moment"),
            absl::string_view::npos);
  const auto create = [&](const LayerTrainerOptions& options) {
    return LayerTrainer::Create(options, teacher_->rope(), device_.get())
        .status()
        .code();
  };
  LayerTrainerOptions options = options_;
  options.layer = 4;
  EXPECT_EQ(create(options), absl::StatusCode::kInvalidArgument);
  options = options_;
  options.design.key_pools = {};
  EXPECT_EQ(create(options), absl::StatusCode::kInvalidArgument);
  options = options_;
  options.shape.head_dim = 32;
  EXPECT_EQ(create(options), absl::StatusCode::kInvalidArgument)
      << "the rope's";
  options = options_;
  options.training.schedule.peak = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(create(options), absl::StatusCode::kInvalidArgument);
}

TEST_P(LayerTrainerTest, ExportsInTheModelsDtype) {
  const auto single = Make();
  const auto rounded = single->Export();
  ASSERT_TRUE(rounded.ok()) << rounded.status();
  EXPECT_TRUE(rounded->linear_q.empty());
  const Checkpoint checkpoint = Saved(*single);
  const std::vector<uint8_t>& master = checkpoint.at("layers.2.linear_k").bytes;
  ASSERT_EQ(rounded->linear_k.size(), size_t{4 * 48 * 16 * 2});
  ASSERT_EQ(master.size(), size_t{4 * 48 * 16 * 4});
  for (size_t i = 0; i < master.size() / 4; ++i) {
    float value;
    BFloat16 stored;
    std::memcpy(&value, &master[4 * i], 4);
    std::memcpy(&stored, &rounded->linear_k[2 * i], 2);
    ASSERT_EQ(stored.bits, BFloat16(value).bits);
  }
  options_.project_queries = true;
  options_.shape.dtype = DType::kFloat32;
  const auto weights = Make()->Export();
  ASSERT_TRUE(weights.ok());
  EXPECT_EQ(weights->linear_q.size(), size_t{4 * 16 * 16 * 4});
  EXPECT_EQ(weights->linear_k.size(), size_t{2 * 48 * 16 * 4});
}

INSTANTIATE_TEST_SUITE_P(Devices, LayerTrainerTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
