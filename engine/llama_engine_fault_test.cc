// The engine on a GPU that faults: all end, nothing hangs, nothing more is
// taken.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "engine/calibrator.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_engine.h"
#include "tests/testing/kernels/cuda/device_fault.h"
#include "tests/testing/own_process.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

class Sequences final : public TokenSequences {
 public:
  int64_t num_sequences() const override { return 8; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    return GreedyRequest(700, 0, index).prompt;
  }
};

class LlamaEngineFaultTest : public TinyEngineTest {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice("cuda");
    if (!missing.empty()) GTEST_SKIP() << missing;
    options_.device = "cuda";
    options_.kv_memory_fraction = 0.1;
    options_.scheduler.max_running = 4;
  }

  std::vector<std::unique_ptr<TokenStream>> SubmitAll(
      std::vector<GenerationRequest> requests) {
    std::vector<std::unique_ptr<TokenStream>> streams;
    for (GenerationRequest& request : requests) {
      auto stream = engine_->Submit(std::move(request));
      EXPECT_TRUE(stream.ok()) << stream.status();
      if (stream.ok()) streams.push_back(*std::move(stream));
    }
    return streams;
  }

  static void ExpectEndsWithInternal(TokenStream& stream) {
    const GatheredReply reply = Gather(stream, absl::Minutes(1));
    EXPECT_EQ(reply.status.code(), absl::StatusCode::kInternal) << reply.status;
    EXPECT_FALSE(reply.summary.has_value());
  }

  // What is left of the engine after a fault has ended its requests.
  void ExpectFailedForGood() {
    EXPECT_FALSE(engine_->Stats().healthy);
    EXPECT_TRUE(PagesAreFree());
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(Refused(GreedyRequest(100, 5)).code(),
                absl::StatusCode::kInternal);
    }
    const int steps = observer_.steps;
    EXPECT_TRUE(engine_->Drain(absl::Now() + absl::Minutes(1)).ok());
    EXPECT_EQ(observer_.steps, steps);
    engine_.reset();  // gives back what the device no longer takes
  }

  // One of each kind: scored, greedy and drawn rows, several choices; and more
  // than run at once.
  static std::vector<GenerationRequest> ManyRequests() {
    std::vector<GenerationRequest> requests;
    for (int i = 0; i < 6; ++i) {
      requests.push_back(GreedyRequest(i == 3 ? 12000 : 100, 4000, i));
    }
    requests[1].policy = MeanPoolPolicy(BudgetKind::kTopKBlocks);
    requests[2].sampling.temperature = 0.7;
    return requests;
  }

  void FaultWhileRunning() {
    Start();
    const auto streams = SubmitAll(ManyRequests());
    ASSERT_TRUE(Eventually([&] { return observer_.steps >= 20; }));
    EXPECT_GT(engine_->Stats().requests_running, 0);
    ASSERT_TRUE(EnqueueFault(DeviceFault::kUnmappedAddress, nullptr));
    for (const auto& stream : streams) ExpectEndsWithInternal(*stream);
    ExpectFailedForGood();
  }

  // With a calibration that takes half of the device; `beside_requests` or
  // alone.
  void FaultWhileCalibrating(bool beside_requests) {
    Start();
    CalibrationOptions calibration;
    calibration.steps = 1000000;
    calibration.sequences_per_step = 2;
    calibration.sequence_len = 700;
    calibration.device_share = 0.5;
    auto begun = engine_->calibrator().Start(
        calibration, std::make_shared<Sequences>(), /*checkpoint=*/"");
    ASSERT_TRUE(begun.ok()) << begun.status();
    CalibrationRun& run = **begun;
    ASSERT_TRUE(Eventually([&] { return run.status().step > 0; }));
    std::vector<std::unique_ptr<TokenStream>> streams;
    if (beside_requests) {
      streams = SubmitAll(ManyRequests());
      ASSERT_TRUE(
          Eventually([&] { return observer_.micro_steps_beside >= 20; }));
      EXPECT_GT(engine_->Stats().requests_running, 0);
    }
    ASSERT_TRUE(EnqueueFault(DeviceFault::kUnmappedAddress, nullptr));
    for (const auto& stream : streams) ExpectEndsWithInternal(*stream);
    const std::optional<CalibrationEvent> event =
        run.Next(absl::Now() + absl::Minutes(1));
    ASSERT_TRUE(event.has_value()) << "the run hangs";
    const auto* status = std::get_if<absl::Status>(&*event);
    ASSERT_NE(status, nullptr);
    EXPECT_EQ(status->code(), absl::StatusCode::kInternal) << *status;
    ASSERT_TRUE(Eventually([&] { return !engine_->Stats().healthy; }));
    EXPECT_EQ(engine_->calibrator()
                  .Start(calibration, std::make_shared<Sequences>(), "")
                  .status()
                  .code(),
              absl::StatusCode::kInternal);
    ExpectFailedForGood();
  }

  // Nobody asks the device while there is nothing to do: the next request finds
  // out, in its first step.
  void FaultWhileIdle() {
    Start();
    const GatheredReply before = Run(GreedyRequest(200, 3));
    EXPECT_TRUE(before.summary.has_value()) << before.status;
    ASSERT_TRUE(EnqueueFault(DeviceFault::kTrap, nullptr));
    const auto streams = SubmitAll({GreedyRequest(200, 3)});
    for (const auto& stream : streams) ExpectEndsWithInternal(*stream);
    ExpectFailedForGood();
  }
};

TEST_F(LlamaEngineFaultTest, EndsWhatRunsAndWaits) {
  ExpectPassesInItsOwnProcess(300, [this] { FaultWhileRunning(); });
}

TEST_F(LlamaEngineFaultTest, EndsACalibrationAndTheRequestsBesideIt) {
  ExpectPassesInItsOwnProcess(
      300, [this] { FaultWhileCalibrating(/*beside_requests=*/true); });
}

TEST_F(LlamaEngineFaultTest, EndsACalibrationThatRunsAlone) {
  ExpectPassesInItsOwnProcess(
      300, [this] { FaultWhileCalibrating(/*beside_requests=*/false); });
}

TEST_F(LlamaEngineFaultTest, EndsTheNextRequest) {
  ExpectPassesInItsOwnProcess(300, [this] { FaultWhileIdle(); });
}

}  // namespace
}  // namespace seer
