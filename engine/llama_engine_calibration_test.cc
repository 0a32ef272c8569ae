#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "base/file/atomic_file.h"
#include "engine/calibrator.h"
#include "engine/errors.h"
#include "engine/gate/gate_set.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

class RandomSequences final : public TokenSequences {
 public:
  RandomSequences(int64_t num_sequences, int64_t sequence_len,
                  std::atomic<int>* num_reads)
      : num_sequences_(num_sequences),
        sequence_len_(sequence_len),
        num_reads_(num_reads) {}
  int64_t num_sequences() const override { return num_sequences_; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    ++*num_reads_;
    std::mt19937_64 random(index + 1);
    std::vector<TokenId> tokens(sequence_len_);
    for (TokenId& token : tokens) {
      token = static_cast<TokenId>(random() % kTinyLlamaVocabSize);
    }
    return tokens;
  }

 private:
  const int64_t num_sequences_;
  const int64_t sequence_len_;
  std::atomic<int>* const num_reads_;
};

class LlamaEngineCalibrationTest
    : public TinyEngineTest,
      public testing::WithParamInterface<std::string> {
 protected:
  LlamaEngineCalibrationTest() {
    options_.model_dir = testing::TempDir() + "calibration_on_" + GetParam();
    mkdir(options_.model_dir.c_str(), 0700);
    options_.device = GetParam();
    options_.kv_memory_fraction = 0.2;
    calibration_.steps = 4;
    calibration_.warmup_steps = 1;
    calibration_.sequences_per_step = 2;
    calibration_.sequence_len = 700;
    calibration_.learning_rate = 0.01;
    calibration_.validation_fraction = 0.3;
    calibration_.device_share = 0.5;
  }
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  absl::StatusOr<std::unique_ptr<CalibrationRun>> TryBegin(
      const std::string& checkpoint = "") {
    return engine_->calibrator().Start(
        calibration_,
        std::make_shared<RandomSequences>(6, calibration_.sequence_len,
                                          &num_reads_),
        checkpoint);
  }
  std::unique_ptr<CalibrationRun> Begin(const std::string& checkpoint = "") {
    auto run = TryBegin(checkpoint);
    EXPECT_TRUE(run.ok()) << run.status();
    return *std::move(run);
  }

  // To the end; checkpoints are passed over.
  static CalibrationEvent End(CalibrationRun& run) {
    while (true) {
      std::optional<CalibrationEvent> event =
          run.Next(absl::Now() + absl::Minutes(1));
      if (!event.has_value()) return absl::DeadlineExceededError("no event");
      if (!std::holds_alternative<CalibrationCheckpoint>(*event)) {
        return *std::move(event);
      }
    }
  }
  static absl::Status Error(CalibrationRun& run) {
    const CalibrationEvent event = End(run);
    const auto* status = std::get_if<absl::Status>(&event);
    return status == nullptr ? absl::OkStatus() : *status;
  }
  static std::string File(CalibrationRun& run) {
    const CalibrationEvent event = End(run);
    const auto* result = std::get_if<CalibrationResult>(&event);
    EXPECT_NE(result, nullptr) << std::get<absl::Status>(event);
    return result == nullptr ? "" : result->file;
  }
  // What a run comes to that nothing disturbs.
  std::string UndisturbedFile() { return File(*Begin()); }

  static std::string ReasonIn(const absl::Status& status) {
    return ReasonOf(status).value_or(ErrorReason()).reason;
  }

  static std::vector<double> Logprobs(const GatheredReply& reply) {
    std::vector<double> logprobs;
    for (const LogprobEntry& entry : reply.prompt_logprobs) {
      logprobs.push_back(entry.token.logprob);
    }
    return logprobs;
  }

  CalibrationOptions calibration_;
  std::atomic<int> num_reads_{0};  // of sequences
};

TEST_P(LlamaEngineCalibrationTest, MakesAGateSetThatLoads) {
  Start();
  const auto run = Begin();
  CalibrationEvent event = End(*run);
  ASSERT_TRUE(std::holds_alternative<CalibrationResult>(event))
      << std::get<absl::Status>(event);
  const auto& result = std::get<CalibrationResult>(event);
  EXPECT_EQ(result.held_out.size(), 2u);
  EXPECT_EQ(result.quality.num_tokens, 2 * 700);
  EXPECT_EQ(result.status.phase, CalibrationPhase::kEvaluating);
  EXPECT_EQ(result.status.step, 4);
  EXPECT_EQ(result.status.layer_validation_losses.size(), 2u);
  for (const CalibrationQuality::Layer& layer : result.quality.layers) {
    for (const CalibrationQuality::Recall& recall : layer.recalls) {
      EXPECT_GT(recall.mass_recall, 0.0);
      EXPECT_LE(recall.mass_recall, 1.0 + 1e-6);
      EXPECT_GT(recall.block_recall, 0.0);
    }
  }
  EXPECT_FALSE(run->Next(absl::InfiniteFuture()).has_value());

  const std::string path = options_.model_dir + "/calibrated.safetensors";
  ASSERT_TRUE(WriteFileAtomically(path, {result.file}).ok());
  GateShape shape;
  shape.num_layers = 2;
  shape.num_query_heads = 4;
  shape.num_kv_heads = 2;
  shape.head_dim = 16;
  shape.dtype = DType::kFloat32;
  const auto set =
      LoadGateSet(path, {shape, "tiny", engine_->model().fingerprint});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_TRUE((*set)->profile.has_value());
  EXPECT_TRUE(PagesAreFree());
}

// A profile for a gate without weights, from the engine and back to it.
TEST_P(LlamaEngineCalibrationTest, MakesProfilesThatServe) {
  calibration_.steps = 0;
  calibration_.warmup_steps = 0;
  calibration_.design = "oracle_mass";
  calibration_.target = CalibrationTarget::kMass;
  Start();
  const absl::Status refused = TryBegin().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonIn(refused), "ORACLE_NOT_ALLOWED");
  engine_.reset();
  options_.policy.allow_oracle_gates = true;
  Start();
  const std::string path = options_.model_dir + "/profile.safetensors";
  for (const GateChoice::Kind kind :
       {GateChoice::Kind::kMeanPool, GateChoice::Kind::kOracleMass}) {
    calibration_.design =
        kind == GateChoice::Kind::kMeanPool ? "mean_pool" : "oracle_mass";
    const auto run = Begin();
    EXPECT_EQ(run->status().phase, CalibrationPhase::kProfiling);
    const std::string file = File(*run);
    ASSERT_TRUE(WriteFileAtomically(path, {file}).ok());
    const auto facts = engine_->gates().Install(path);
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(facts->design, calibration_.design);
    EXPECT_TRUE(facts->has_profile);

    GenerationRequest request = GreedyRequest(1500, 4);
    request.num_prompt_logprobs = 0;
    request.policy = MeanPoolPolicy(BudgetKind::kTargetSparsity);
    request.policy->gate = GateChoice{GateChoice::Kind::kNamed, facts->name};
    const GatheredReply profiled = Run(request);
    ASSERT_TRUE(profiled.summary.has_value()) << profiled.status;
    const SparsityReport& report = profiled.summary->sparsity;
    EXPECT_EQ(report.effective.gate, facts->name);
    EXPECT_EQ(report.effective.gate_version, facts->version);
    EXPECT_EQ(report.effective.allocation, Allocation::kProfiled);
    EXPECT_FALSE(report.closest_feasible);
    // Without its profile it is the gate that is built in.
    request.policy->allocation = Allocation::kUniform;
    const GatheredReply uniform = Run(request);
    request.policy->gate = GateChoice{kind, ""};
    const GatheredReply built_in = Run(request);
    ASSERT_TRUE(built_in.summary.has_value()) << built_in.status;
    EXPECT_EQ(Logprobs(uniform), Logprobs(built_in));
    EXPECT_NE(Logprobs(profiled), Logprobs(built_in));
  }
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineCalibrationTest, NeitherSeesTheOther) {
  // However long steps take, the request's are the same.
  options_.scheduler.fixed_chunk_tokens = 128;
  Start();
  const std::string alone = UndisturbedFile();
  const GenerationRequest request = GreedyRequest(300, 20);
  const std::vector<TokenId> expected = Run(request).choices[0].token_ids;
  std::atomic<bool> done{false};
  std::string beside;
  const auto run = Begin();
  std::thread waiter([&] {
    beside = File(*run);
    done = true;
  });
  int num_replies = 0;
  while (!done || num_replies == 0) {
    EXPECT_EQ(Run(request).choices[0].token_ids, expected);
    ++num_replies;
  }
  waiter.join();
  EXPECT_TRUE(beside == alone);
  EXPECT_EQ(engine_->gate_sets().size(), 1u) << "mean_pool: nothing installed";
  EXPECT_GT(observer_.micro_steps_beside, 0);
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineCalibrationTest, PausesChangeNothing) {
  Start();
  const std::string whole = UndisturbedFile();
  std::string checkpoint;
  int num_pauses = 0;
  while (true) {
    auto run = Begin(checkpoint);
    run->RequestCheckpoint();
    std::optional<CalibrationEvent> event =
        run->Next(absl::Now() + absl::Minutes(1));
    ASSERT_TRUE(event.has_value());
    auto* saved = std::get_if<CalibrationCheckpoint>(&*event);
    ASSERT_NE(saved, nullptr);
    checkpoint = std::move(saved->bytes);
    if (++num_pauses == 6) {
      EXPECT_TRUE(File(*run) == whole);
      break;
    }
    // Farther on, if the engine is so quick.
    event = run->Next(absl::Now() + absl::Milliseconds(5));
  }
  // Of other options, and damaged.
  ++calibration_.seed;
  EXPECT_EQ(TryBegin(checkpoint).status().code(),
            absl::StatusCode::kInvalidArgument);
  --calibration_.seed;
  checkpoint[checkpoint.size() - 1] ^= 1;
  EXPECT_EQ(ReasonIn(TryBegin(checkpoint).status()), "CHECKPOINT_DAMAGED");
}

// A request that takes the whole cache while the calibration holds pages of it.
TEST_P(LlamaEngineCalibrationTest, RequestsComeFirst) {
  if (GetParam() != "cpu") {
    GTEST_SKIP() << "the cache is a share of the GPU's memory";
  }
  options_.kv_cache_bytes = 40 * 40960;
  calibration_.steps = 20;
  Start();
  const int64_t num_tokens = engine_->Stats().pages_total * 64;
  const std::string whole = UndisturbedFile();
  const int reads_of_one = num_reads_;
  const auto run = Begin();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Eventually([&] {
      return engine_->Stats().pages_used > 0 ||
             run->status().phase == CalibrationPhase::kEvaluating;
    }));
    const GatheredReply reply = Run(GreedyRequest(num_tokens - 10, 10));
    EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  }
  EXPECT_TRUE(File(*run) == whole);
  EXPECT_GT(num_reads_, 2 * reads_of_one) << "no step was ever voided";
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineCalibrationTest, CancelFreesAndMakesRoom) {
  Start();
  calibration_.steps = 1000000;
  auto run = Begin();
  ASSERT_TRUE(Eventually([&] { return run->status().step > 2; }));
  const absl::Status busy = TryBegin().status();
  EXPECT_EQ(busy.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonIn(busy), "BUSY");
  run = nullptr;
  auto next = Begin();
  EXPECT_TRUE(Eventually([&] { return next->status().step > 0; }));
  next = nullptr;
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineCalibrationTest, OutlivesTheEngine) {
  Start();
  calibration_.steps = 1000000;
  const auto run = Begin();
  ASSERT_TRUE(Eventually([&] { return run->status().step > 0; }));
  EXPECT_TRUE(engine_->Drain(absl::Now() + absl::Minutes(1)).ok());
  EXPECT_EQ(TryBegin().status().code(), absl::StatusCode::kUnavailable);
  engine_.reset();
  EXPECT_EQ(Error(*run).code(), absl::StatusCode::kUnavailable);
  EXPECT_GT(run->status().step, 0);
}

TEST_P(LlamaEngineCalibrationTest, DivergenceIsAnError) {
  Start();
  calibration_.steps = 60;
  calibration_.learning_rate = 1.0;
  calibration_.target = CalibrationTarget::kMass;
  const absl::Status status = Error(*Begin());
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(ReasonIn(status), "DIVERGED");
  EXPECT_TRUE(PagesAreFree());
}

TEST_P(LlamaEngineCalibrationTest, RefusesWhatCanNeverRun) {
  options_.kv_cache_bytes = 1 << 20;
  Start();
  const auto start = [&](int64_t num_sequences) {
    return engine_->calibrator()
        .Start(calibration_,
               std::make_shared<RandomSequences>(
                   num_sequences, calibration_.sequence_len, &num_reads_),
               "")
        .status();
  };
  EXPECT_EQ(start(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonIn(start(1)), "DATASET_TOO_SHORT");
  if (GetParam() == "cpu") {  // on a GPU the cache is a share of its memory
    calibration_.sequence_len = 16384;
    EXPECT_EQ(start(4).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonIn(start(4)), "OUT_OF_MEMORY");
  }
  calibration_.sequence_len = 16385;
  EXPECT_EQ(FieldOf(start(4)).value_or(""), "sequence_len");
  EXPECT_TRUE(PagesAreFree());
}

INSTANTIATE_TEST_SUITE_P(Devices, LlamaEngineCalibrationTest,
                         testing::ValuesIn(RealTestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
