#include "engine/calibration/run/distillation_run.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/file/atomic_file.h"
#include "base/safetensors/safetensors.h"
#include "engine/calibration/testing/taught_source.h"
#include "engine/errors.h"
#include "engine/gate/gate_set.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

constexpr char kFingerprint[] = "0123abcd";
// 10 tiles; 2 of them are dropped, and the last is ragged.
constexpr int64_t kLen = 600;

struct Outcome {
  absl::Status status;
  std::string file;
  CalibrationQuality quality;
  std::vector<int64_t> held_out;
  CalibrationStatus end;
  std::vector<MicroStepKind> kinds;
  std::vector<int64_t> left;  // work, before each micro-step
};

class DistillationRunTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    auto device = OpenTestDevice(GetParam(), nullptr);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    ASSERT_TRUE(device_->BindThisThread().ok());
    shape_.num_layers = 2;
    shape_.num_query_heads = 4;
    shape_.num_kv_heads = 2;
    shape_.head_dim = 16;
    shape_.dtype = DType::kFloat32;
    options_.steps = 2;
    options_.warmup_steps = 1;
    options_.sequences_per_step = 2;
    options_.learning_rate = 0.02;
    options_.validation_fraction = 0.4;
    options_.seed = 5;
    options_.dataset_sha256 = std::string(64, 'f');
    options_.tool_version = "1.2";
    options_.created = absl::FromUnixSeconds(1700000000);
    UseSequences(5, kLen);
  }
  void TearDown() override { source_.reset(); }

  // And teachers of the design, or of some where it has nothing to learn.
  void UseSequences(int64_t num_sequences, int64_t sequence_len) {
    options_.sequence_len = sequence_len;
    sequences_ =
        std::make_shared<NumberedSequences>(num_sequences, sequence_len);
    const std::string taught =
        HasWeights(options_.design) ? options_.design : "Qavg_Kavg";
    source_ = std::make_unique<TaughtSource>(
        shape_, ParseGateDesign(taught).value(), sequence_len, device_.get());
  }

  std::unique_ptr<DistillationRun> Make(
      std::optional<RunState> resumed = std::nullopt) {
    DistillationSetup setup;
    setup.options = options_;
    setup.sequences = sequences_;
    setup.shape = shape_;
    setup.rope = source_->rope();
    setup.fingerprint = kFingerprint;
    setup.vocab_size = vocab_size_;
    setup.device = device_.get();
    setup.source = source_.get();
    setup.limits.max_tiles = max_tiles_;
    setup.resumed = std::move(resumed);
    return std::make_unique<DistillationRun>(std::move(setup));
  }

  // To the end, or an error.
  Outcome Finish(DistillationRun& run) {
    Outcome outcome;
    while (outcome.status.ok() && !run.is_done()) {
      outcome.left.push_back(run.num_token_layers_left());
      const MicroStepKind expected = run.next_kind();
      const auto kind = run.NextMicroStep();
      outcome.status = kind.status();
      if (!kind.ok()) break;
      EXPECT_TRUE(*kind == expected || *kind == MicroStepKind::kWait);
      outcome.kinds.push_back(*kind);
    }
    outcome.end = run.status();
    if (!outcome.status.ok()) return outcome;
    DistillationResult result = run.TakeResult();
    outcome.file = ToBytes(result.file).value();
    outcome.quality = result.quality;
    outcome.held_out = result.held_out;
    return outcome;
  }
  Outcome Run() { return Finish(*Make()); }

  // Through its bytes.
  std::unique_ptr<DistillationRun> Resume(const RunState& state) {
    const std::string bytes = *SerializeRunState(state, "identity");
    return Make(*ParseRunState(bytes, "identity"));
  }

  std::shared_ptr<const GateSet> Load(const std::string& file) {
    const std::string path = testing::TempDir() + "calibrated.safetensors";
    EXPECT_TRUE(WriteFileAtomically(path, {file}).ok());
    auto set = LoadGateSet(
        path, {shape_, "tiny", kFingerprint, /*allow_oracle_gates=*/true});
    EXPECT_TRUE(set.ok()) << set.status();
    return set.ok() ? *set : nullptr;
  }

  std::unique_ptr<Device> device_;
  GateShape shape_;
  CalibrationOptions options_;
  std::unique_ptr<TaughtSource> source_;
  std::shared_ptr<NumberedSequences> sequences_;
  int32_t vocab_size_ = 64;
  int64_t max_tiles_ = 5;  // of a span
};

void ExpectEqual(const Outcome& got, const Outcome& want, int where) {
  ASSERT_TRUE(got.status.ok()) << where << ": " << got.status;
  EXPECT_TRUE(got.file == want.file) << where;
  EXPECT_EQ(got.end.layer_losses, want.end.layer_losses) << where;
  EXPECT_EQ(got.end.layer_validation_losses, want.end.layer_validation_losses)
      << where;
  ASSERT_EQ(got.quality.layers.size(), want.quality.layers.size());
  for (size_t layer = 0; layer < got.quality.layers.size(); ++layer) {
    EXPECT_EQ(got.quality.layers[layer].loss, want.quality.layers[layer].loss);
    EXPECT_EQ(got.quality.layers[layer].recalls[1].mass_recall,
              want.quality.layers[layer].recalls[1].mass_recall);
  }
}

// A gate of the teachers' design has something to learn, and untrained weights
// know nothing of it.
TEST_P(DistillationRunTest, MakesAGateSetThatLearnedSomething) {
  constexpr int64_t kLong = 40 * 64;
  UseSequences(20, kLong);
  options_.steps = 60;
  options_.warmup_steps = 5;
  options_.validation_fraction = 0.2;
  const Outcome trained = Run();
  ASSERT_TRUE(trained.status.ok()) << trained.status;
  options_.learning_rate = 1e-12;
  const Outcome untrained = Run();
  ASSERT_TRUE(untrained.status.ok()) << untrained.status;

  ASSERT_EQ(trained.held_out.size(), 4u);
  EXPECT_EQ(trained.quality.num_tokens, 4 * kLong);
  ASSERT_EQ(trained.quality.layers.size(), 2u);
  for (int layer = 0; layer < 2; ++layer) {
    const auto& learned = trained.quality.layers[layer];
    const auto& guessed = untrained.quality.layers[layer];
    EXPECT_LT(learned.loss, guessed.loss);
    EXPECT_LT(trained.end.layer_losses[layer],
              untrained.end.layer_losses[layer]);
    ASSERT_EQ(learned.recalls.size(), 3u);
    for (size_t d = 0; d < 3; ++d) {
      const CalibrationQuality::Recall& recall = learned.recalls[d];
      EXPECT_EQ(recall.density, (std::vector<double>{0.5, 0.2, 0.1})[d]);
      EXPECT_LE(recall.mass_recall, recall.oracle_mass_recall);
      // Of so few tiles forced blocks are most of what is read at 0.1.
      EXPECT_GE(recall.mass_recall, guessed.recalls[d].mass_recall);
      EXPECT_GE(recall.block_recall, guessed.recalls[d].block_recall);
    }
    EXPECT_GT(learned.recalls[0].mass_recall, guessed.recalls[0].mass_recall);
    EXPECT_GT(learned.recalls[0].block_recall, guessed.recalls[0].block_recall);
  }

  const auto set = Load(trained.file);
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->gate->design(), options_.design);
  ASSERT_TRUE(set->profile.has_value());
  for (int layer = 0; layer < 2; ++layer) {
    for (const float target : {0.05f, 0.2f, 0.5f, 0.9f}) {
      double sum = 0.0;
      for (int head = 0; head < 4; ++head) {
        sum += set->profile->HeadDensity(layer, head, target);
      }
      // Four roundings to fp32.
      EXPECT_NEAR(sum / 4, target, 0x1p-24);
      EXPECT_GT(set->profile->HeadDensity(layer, 3, target), target)
          << "of the head that writes the most";
    }
  }
}

TEST_P(DistillationRunTest, SaysWhereTheFileComesFrom) {
  shape_.dtype = DType::kBFloat16;
  options_.design = "Qmaxmin_Kavg";
  UseSequences(5, kLen);
  options_.target = CalibrationTarget::kMass;
  options_.seed = ~uint64_t{0};
  const Outcome outcome = Run();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  ASSERT_NE(Load(outcome.file), nullptr);
  const auto contents =
      ParseSafetensors({reinterpret_cast<const uint8_t*>(outcome.file.data()),
                        outcome.file.size()});
  ASSERT_TRUE(contents.ok());
  const std::map<std::string, std::string> expected = {
      {"format_version", "1"},
      {"design", "Qmaxmin_Kavg"},
      {"block_size", "64"},
      {"target", "mass"},
      {"loss", "kl"},
      {"fingerprint", kFingerprint},
      {"dataset_sha256", std::string(64, 'f')},
      {"dataset_tokens", "3000"},
      {"steps", "2"},
      {"seed", "18446744073709551615"},
      {"tool_version", "1.2"},
      {"created", "2023-11-14T22:13:20Z"}};
  EXPECT_EQ(contents->metadata, expected);
  for (const auto& [name, tensor] : contents->tensors) {
    EXPECT_EQ(tensor.dtype, name.find("mask_linear") != std::string::npos
                                ? SafetensorsDtype::kBF16
                                : SafetensorsDtype::kF32)
        << name;
  }
}

// Oracles, which know nothing of weights, choose and are counted by the mass
// whether or not its roots are trained on.
TEST_P(DistillationRunTest, RootMassIsTrainedOnAndMassCounted) {
  options_.target = CalibrationTarget::kMass;
  const Outcome mass = Run();
  ASSERT_TRUE(mass.status.ok()) << mass.status;
  options_.target = CalibrationTarget::kRootMass;
  const Outcome root = Run();
  ASSERT_TRUE(root.status.ok()) << root.status;
  for (size_t layer = 0; layer < 2; ++layer) {
    const auto& got = root.quality.layers[layer];
    const auto& other = mass.quality.layers[layer];
    EXPECT_NE(got.loss, other.loss);
    for (size_t d = 0; d < 3; ++d) {
      EXPECT_EQ(got.recalls[d].oracle_mass_recall,
                other.recalls[d].oracle_mass_recall);
    }
  }
  const auto set = Load(root.file);
  ASSERT_NE(set, nullptr);
  EXPECT_EQ(set->provenance.target, "root_mass");
}

// Of a design without weights.
TEST_P(DistillationRunTest, AProfileNeedsNoTraining) {
  // So many that what is forced is less than half.
  constexpr int64_t kLong = 30 * 64;
  UseSequences(4, kLong);
  options_.steps = 0;
  options_.warmup_steps = 0;
  for (const char* const design : {"mean_pool", "oracle_max"}) {
    SCOPED_TRACE(design);
    options_.design = design;
    const auto run = Make();
    EXPECT_EQ(run->status().phase, CalibrationPhase::kProfiling);
    while (!run->holds_memory()) ASSERT_TRUE(run->NextMicroStep().ok());
    run->RequestCheckpoint();
    ASSERT_EQ(run->NextMicroStep().value(), MicroStepKind::kSave);
    ASSERT_TRUE(run->NextMicroStep().ok());
    const std::unique_ptr<RunState> state = run->TakeCheckpoint();
    ASSERT_NE(state, nullptr);
    const Outcome outcome = Finish(*run);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(
        std::set<MicroStepKind>(outcome.kinds.begin(), outcome.kinds.end()),
        (std::set<MicroStepKind>{MicroStepKind::kProfilingSpan,
                                 MicroStepKind::kEvaluationSpan}));
    ExpectEqual(Finish(*Resume(*state)), outcome, 0);

    const auto set = Load(outcome.file);
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->gate->design(), design);
    EXPECT_EQ(set->provenance.target, "");
    EXPECT_EQ(set->provenance.loss, "");
    EXPECT_EQ(set->provenance.dataset_tokens, 4 * kLong);
    ASSERT_TRUE(set->profile.has_value());
    for (int layer = 0; layer < 2; ++layer) {
      for (const float target : {0.05f, 0.2f, 0.5f, 0.9f}) {
        double sum = 0.0;
        for (int head = 0; head < 4; ++head) {
          sum += set->profile->HeadDensity(layer, head, target);
        }
        // Four roundings to fp32.
        EXPECT_NEAR(sum / 4, target, 0x1p-24);
        EXPECT_GT(set->profile->HeadDensity(layer, 3, target), target)
            << "of the head that writes the most";
      }
      const CalibrationQuality::Layer& quality = outcome.quality.layers[layer];
      const bool is_oracle = set->gate->design() == "oracle_max";
      EXPECT_EQ(quality.loss == 0.0, is_oracle);
      EXPECT_EQ(quality.recalls[0].block_recall == 1.0, is_oracle);
    }
  }
}

TEST_P(DistillationRunTest, HeldOutSequencesAreNotTrainedOn) {
  const auto run = Make();
  while (run->status().step < options_.steps) {
    ASSERT_TRUE(run->NextMicroStep().ok());
  }
  std::set<TokenId> trained = source_->seen();
  const Outcome outcome = Finish(*run);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  for (const int64_t index : outcome.held_out) {
    EXPECT_EQ(trained.count(static_cast<TokenId>(index)), 0u) << index;
    EXPECT_EQ(source_->seen().count(static_cast<TokenId>(index)), 1u);
  }
  EXPECT_EQ(trained.size() + outcome.held_out.size(), 5u);
}

// Who is told how long they take meets each phase as something new.
TEST_P(DistillationRunTest, EachPhaseHasItsKindOfMicroSteps) {
  const Outcome outcome = Run();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  std::vector<MicroStepKind> in_order;
  for (const MicroStepKind kind : outcome.kinds) {
    if (std::find(in_order.begin(), in_order.end(), kind) == in_order.end()) {
      in_order.push_back(kind);
    }
  }
  EXPECT_EQ(in_order,
            (std::vector<MicroStepKind>{
                MicroStepKind::kSetUp, MicroStepKind::kFirstSpan,
                MicroStepKind::kTrainingSpan, MicroStepKind::kUpdate,
                MicroStepKind::kValidationSpan, MicroStepKind::kProfilingSpan,
                MicroStepKind::kEvaluationSpan, MicroStepKind::kExport}));
}

// The first kind is told before a sequence begins, so it has to be known then.
TEST_P(DistillationRunTest, ASequenceOfOneSpanIsTheSame) {
  const Outcome spans = Run();
  ASSERT_TRUE(spans.status.ok()) << spans.status;
  max_tiles_ = NumBlocks(kLen);
  const Outcome whole = Run();
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  EXPECT_EQ(std::count(whole.kinds.begin(), whole.kinds.end(),
                       MicroStepKind::kFirstSpan),
            0);
  // Both steps have the first weights, the first step's rate being 0. Sums of
  // 10 blocks of 16 channels in another order.
  for (size_t layer = 0; layer < 2; ++layer) {
    const double loss = spans.end.layer_losses[layer];
    EXPECT_NEAR(whole.end.layer_losses[layer], loss, loss * 10 * 16 * 0x1p-24);
  }
}

// Memory taken away, and a checkpoint asked for, before one micro-step after
// the other. Every fourth is tried: layers have three or two spans.
TEST_P(DistillationRunTest, ComesOutTheSameWhateverInterruptsIt) {
  UseSequences(3, kLen);
  const Outcome whole = Run();
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  const int num_steps = static_cast<int>(whole.kinds.size());
  EXPECT_TRUE(std::is_sorted(whole.left.rbegin(), whole.left.rend()));
  EXPECT_EQ(whole.left.back(), 0);
  for (int k = 0; k < num_steps; k += 4) {
    const auto run = Make();
    for (int i = 0; i < k; ++i) ASSERT_TRUE(run->NextMicroStep().ok());
    const bool held = run->holds_memory();
    run->GiveMemoryBack();
    EXPECT_FALSE(source_->is_under_way());
    source_->has_memory = false;
    if (held) {
      EXPECT_EQ(run->NextMicroStep().value(), MicroStepKind::kWait);
    }
    source_->has_memory = true;
    run->RequestCheckpoint();
    std::unique_ptr<RunState> state;
    for (int i = 0; state == nullptr && !run->is_done(); ++i) {
      ASSERT_LT(i, num_steps);
      ASSERT_TRUE(run->NextMicroStep().ok());
      state = run->TakeCheckpoint();
    }
    if (state != nullptr) ExpectEqual(Finish(*Resume(*state)), whole, k);
    ExpectEqual(Finish(*run), whole, k);
    if (HasFailure()) return;
  }
}

TEST_P(DistillationRunTest, ARunThatGoesOnKnowsItsPast) {
  options_.steps = 12;
  const auto run = Make();
  while (run->status().step < 11) ASSERT_TRUE(run->NextMicroStep().ok());
  run->RequestCheckpoint();
  std::unique_ptr<RunState> state;
  while (state == nullptr) {
    ASSERT_TRUE(run->NextMicroStep().ok());
    state = run->TakeCheckpoint();
  }
  const auto resumed = Resume(*state);
  EXPECT_EQ(resumed->status().step, 11);
  ASSERT_TRUE(resumed->NextMicroStep().ok());
  EXPECT_EQ(resumed->status().layer_losses, run->status().layer_losses);
  EXPECT_EQ(resumed->status().layer_validation_losses.size(), 2u)
      << "measured after step 10";
  EXPECT_EQ(resumed->status().layer_validation_losses,
            run->status().layer_validation_losses);

  RunState damaged = *state;
  damaged.tensors.erase("layers.1.linear_k.first_moment");
  const Outcome outcome = Finish(*Make(damaged));
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(ReasonOf(outcome.status).has_value()) << outcome.status;
  EXPECT_EQ(ReasonOf(outcome.status)->reason, "CHECKPOINT_DAMAGED");
}

// At a rate of 1 every weight moves by about 1 a step, where 0.02 is its size
// at first and the teachers' are below 0.3.
TEST_P(DistillationRunTest, DivergenceEndsIt) {
  options_.learning_rate = 1.0;
  options_.steps = 40;
  const Outcome outcome = Run();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(ReasonOf(outcome.status).has_value()) << outcome.status;
  EXPECT_EQ(ReasonOf(outcome.status)->reason, "DIVERGED");
  EXPECT_NE(outcome.status.message().find("layer 0, step "), std::string::npos)
      << outcome.status;
}

TEST_P(DistillationRunTest, ErrorsKeepTheirMeaning) {
  sequences_->error = absl::DataLossError("the disk is gone");
  EXPECT_EQ(Run().status, sequences_->error);
  sequences_->error = absl::OkStatus();

  source_->error = absl::ResourceExhaustedError("no memory");
  absl::Status status = Run().status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status).value_or(ErrorReason()).reason, "OUT_OF_MEMORY");
  source_->error = absl::InvalidArgumentError("a bug");
  EXPECT_EQ(Run().status.code(), absl::StatusCode::kInternal);
  source_->error = absl::OkStatus();

  sequences_ = std::make_shared<NumberedSequences>(5, kLen - 1);
  status = Run().status;
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  UseSequences(5, kLen);
  vocab_size_ = 4;  // each sequence is read once at least, also number 4
  EXPECT_EQ(Run().status.code(), absl::StatusCode::kInvalidArgument)
      << "an id past the vocabulary";
}

INSTANTIATE_TEST_SUITE_P(Devices, DistillationRunTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
