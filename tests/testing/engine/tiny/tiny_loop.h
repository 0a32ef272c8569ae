// A loop over a tiny model, fed by hand: what Submit would refuse gets in.
#ifndef SEER_TESTS_TESTING_ENGINE_TINY_TINY_LOOP_H_
#define SEER_TESTS_TESTING_ENGINE_TINY_TINY_LOOP_H_

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/calibrator.h"
#include "engine/device/cpu_device.h"
#include "engine/engine.h"
#include "engine/event_stream/event_stream.h"
#include "engine/llama_engine/background/calibration_work.h"
#include "engine/llama_engine/background/llama_calibrator.h"
#include "engine/llama_engine/engine_loop.h"
#include "engine/model/aten/aten_executor.h"
#include "engine/tokenizer/stop_strings.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/engine/tiny/tiny_tokenizer.h"
#include "tests/testing/server/gathered_reply.h"

namespace seer {

// Rows of generated tokens that were computed, prompt tokens of the first step
// and micro-steps beside requests.
class RowCounter final : public EngineObserver {
 public:
  void OnStep(const StepReport& report) override {
    decode_rows += report.decode_rows;
    if (first_tokens == 0) first_tokens = report.prompt_tokens;
  }
  void OnCancelled(absl::Duration) override {}
  void OnMicroStep(absl::Duration, bool beside_requests) override {
    if (beside_requests) ++micro_steps_beside;
  }

  int64_t decode_rows = 0;
  int64_t first_tokens = 0;
  int64_t micro_steps_beside = 0;
};

class TinyLoop {
 public:
  // Both are borrowed.
  TinyLoop(AtenExecutor* executor, CpuDevice* device,
           const SchedulerOptions& scheduler = SchedulerOptions())
      : scheduler_(scheduler, &pages_) {
    const std::string folder = testing::TempDir() + "tiny_loop";
    mkdir(folder.c_str(), 0700);
    EXPECT_TRUE(WriteTinyLlama(folder, TinyLlamaOptions()).ok());
    const ModelConfig config = *LoadModelConfig(folder);
    const auto files = *WeightFiles::Open(folder, config);
    model_ = *LlamaModel::Load(config, *files, DType::kFloat32, device);
    cache_ = *KvCache::Allocate({config.num_layers, config.num_kv_heads,
                                 config.head_dim, DType::kFloat32, 100},
                                device);
    EngineLoop::Parts parts;
    parts.model = model_.get();
    parts.cache = &cache_;
    parts.pages = &pages_;
    parts.scheduler = &scheduler_;
    parts.admission = &admission_;
    parts.inbox = &inbox_;
    parts.executor = executor;
    parts.observer = &rows_;
    parts.slow_reader_timeout = absl::Seconds(30);
    CalibrationWork::Parts work;
    work.device = device;
    work.source = {model_.get(), &cache_, &pages_, &scheduler_};
    work.observer = &rows_;
    background_ = std::make_unique<CalibrationWork>(work);
    parts.background = background_.get();
    loop_ = std::make_unique<EngineLoop>(parts);
  }
  ~TinyLoop() { Stop(); }

  // The engine thread; on this thread instead, loop().Run().
  void Start() {
    thread_ = std::thread([this] { loop_->Run(); });
  }
  // Returns when the thread has ended.
  void Stop() {
    inbox_.Stop();
    if (thread_.joinable()) thread_.join();
  }

  std::unique_ptr<TokenStream> Submit(std::vector<TokenId> prompt) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.max_tokens = 3;
    return Submit(std::move(request));
  }
  std::unique_ptr<TokenStream> Submit(GenerationRequest request) {
    RequestRun::Init init;
    init.request = std::move(request);
    if (!init.request.sampling.seed) init.request.sampling.seed = 1;
    init.stop_strings = *StopStrings::Make({});
    init.tokenizer = tokenizer_.get();
    init.num_layers = model_->config().num_layers;
    init.submit_time = absl::Now();
    init.place = *admission_.Enter(init.request.prompt.size());
    EventStreamEnds ends = MakeEventStream({}, [] {});
    EXPECT_TRUE(inbox_
                    .Add(std::make_unique<RequestRun>(std::move(init),
                                                      std::move(ends.outbox)))
                    .ok());
    return std::move(ends.stream);
  }
  GatheredReply Complete(GenerationRequest request) {
    return Gather(*Submit(std::move(request)));
  }

  // A run whose options are in range.
  absl::StatusOr<std::unique_ptr<CalibrationRun>> Calibrate(
      const CalibrationOptions& options,
      std::shared_ptr<const TokenSequences> sequences) {
    LlamaCalibrator::Parts parts;
    parts.work = background_.get();
    // Not owned.
    parts.inbox = std::shared_ptr<Inbox>(std::shared_ptr<Inbox>(), &inbox_);
    parts.context_len = model_->config().context_len;
    parts.num_layers = model_->config().num_layers;
    parts.num_pages = pages_.num_pages();
    return LlamaCalibrator(parts).Start(options, std::move(sequences), "");
  }

  EngineLoop& loop() { return *loop_; }
  int num_layers() const { return model_->config().num_layers; }
  // To be driven by hand while no thread runs the loop.
  CalibrationWork& background() { return *background_; }
  Inbox& inbox() { return inbox_; }
  Admission& admission() { return admission_; }
  Scheduler& scheduler() { return scheduler_; }
  PageAllocator& pages() { return pages_; }
  // Once the thread has ended.
  const RowCounter& rows() const { return rows_; }

 private:
  RowCounter rows_;
  std::unique_ptr<const Tokenizer> tokenizer_ = LoadTinyTokenizer();
  std::unique_ptr<LlamaModel> model_;
  KvCache cache_;
  PageAllocator pages_{100};
  Scheduler scheduler_;
  Admission admission_{AdmissionOptions()};
  Inbox inbox_;
  std::unique_ptr<CalibrationWork> background_;
  std::unique_ptr<EngineLoop> loop_;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TINY_TINY_LOOP_H_
