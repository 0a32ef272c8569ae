// The engine on a GPU that faults: all end, nothing hangs, nothing more is
// taken.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "engine/llama_engine.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny_engine.h"
#include "tests/testing/kernels/cuda/device_fault.h"
#include "tests/testing/own_process.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

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

TEST_F(LlamaEngineFaultTest, EndsTheNextRequest) {
  ExpectPassesInItsOwnProcess(300, [this] { FaultWhileIdle(); });
}

}  // namespace
}  // namespace seer
