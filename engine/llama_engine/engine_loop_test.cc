#include "engine/llama_engine/engine_loop.h"

#include <sys/stat.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/model/aten_executor.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny_llama.h"
#include "tests/testing/engine/tiny_tokenizer.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {
namespace {

// A loop over a tiny model, fed by hand: what Submit would refuse gets in.
class EngineLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = testing::TempDir() + "engine_loop";
    mkdir(folder.c_str(), 0700);
    ASSERT_TRUE(WriteTinyLlama(folder, TinyLlamaOptions()).ok());
    const auto config = LoadModelConfig(folder);
    ASSERT_TRUE(config.ok()) << config.status();
    const auto files = WeightFiles::Open(folder, *config);
    ASSERT_TRUE(files.ok()) << files.status();
    auto model =
        LlamaModel::Load(*config, **files, DType::kFloat32, &executor_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    cache_ = *KvCache::Allocate({config->num_layers, config->num_kv_heads,
                                 config->head_dim, DType::kFloat32, 100});
    EngineLoop::Parts parts;
    parts.model = model_.get();
    parts.cache = &cache_;
    parts.gate_entries = &gate_entries_;
    parts.pages = &pages_;
    parts.scheduler = &scheduler_;
    parts.admission = &admission_;
    parts.inbox = &inbox_;
    parts.executor = &executor_;
    parts.slow_reader_timeout = absl::Seconds(30);
    loop_ = std::make_unique<EngineLoop>(parts);
  }

  std::unique_ptr<TokenStream> Submit(std::vector<TokenId> prompt) {
    RequestRun::Init init;
    init.request.prompt = std::move(prompt);
    init.request.max_tokens = 3;
    init.request.sampling.seed = 1;
    init.stop_strings = *StopStrings::Make({});
    init.tokenizer = tokenizer_.get();
    init.num_layers = model_->config().num_layers;
    init.submit_time = absl::Now();
    init.place = *admission_.Enter(init.request.prompt.size());
    init.last_wake = std::make_shared<const std::atomic<int64_t>>(0);
    EventStreamEnds ends = MakeEventStream({}, [] {});
    EXPECT_TRUE(inbox_
                    .Add(std::make_unique<RequestRun>(std::move(init),
                                                      std::move(ends.outbox)))
                    .ok());
    return std::move(ends.stream);
  }

  AtenExecutor executor_{1};
  std::unique_ptr<const Tokenizer> tokenizer_ = LoadTinyTokenizer();
  std::unique_ptr<LlamaModel> model_;
  KvCache cache_;
  std::map<const Gate*, GateEntries> gate_entries_;
  PageAllocator pages_{100};
  Scheduler scheduler_{SchedulerOptions(), &pages_};
  Admission admission_{AdmissionOptions()};
  Inbox inbox_;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(EngineLoopTest, RunsUntilStopped) {
  const auto stream = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  const GatheredReply reply = Gather(*stream);
  EXPECT_TRUE(reply.summary.has_value()) << reply.status;
  inbox_.Stop();
  thread.join();
  EXPECT_EQ(loop_->Stats().output_tokens_total, 3);
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

TEST_F(EngineLoopTest, AFailedStepEndsAllAndTakesNoMore) {
  // An id past the embedding: the operator throws.
  const auto bad = Submit({1, kTinyLlamaVocabSize + 7});
  const auto innocent = Submit({1, 2, 3});
  std::thread thread([&] { loop_->Run(); });
  EXPECT_EQ(Gather(*bad).status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Gather(*innocent).status.code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(inbox_.healthy());
  EXPECT_EQ(inbox_.CheckOpen().code(), absl::StatusCode::kInternal);
  inbox_.Stop();
  thread.join();
  EXPECT_EQ(loop_->Stats().pages_used, 0);
}

}  // namespace
}  // namespace seer
