// Steps that are launched while another runs.
#include "engine/model/step/launched_step.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/llama_model.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"

namespace seer {
namespace {

constexpr int kNumSequences = 3;
constexpr int32_t kPromptLens[kNumSequences] = {130, 5, 64};
constexpr int kNumGenerated = 40;
constexpr int kPagesEach = 3;

class LaunchedStepTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    folder_ = testing::TempDir() + "launched_step_" + GetParam();
    mkdir(folder_.c_str(), 0700);
    greedy_.draw.temperature = 0.0;
    ASSERT_TRUE(WriteTinyLlama(folder_, TinyLlamaOptions()).ok());
    auto runner = ModelRunner::Load(folder_, DType::kBFloat16,
                                    kNumSequences * kPagesEach, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    for (int i = 0; i < kNumSequences; ++i) {
      std::mt19937_64 random(i);
      prompts_[i].resize(kPromptLens[i]);
      for (int32_t& token : prompts_[i]) {
        token = static_cast<int32_t>(random() % kTinyLlamaVocabSize);
      }
      pages_[i].resize(kPagesEach);
      std::iota(pages_[i].begin(), pages_[i].end(), i * kPagesEach);
    }
  }

  // What a step needs until it is finished.
  struct Step {
    std::vector<BatchSequence> batch;
    std::vector<int> order;  // which sequence stands at each place
    std::array<TokenId, kNumSequences> best = {};
    std::optional<LaunchedStep> launched;
  };

  absl::Status Launch(Step& step) {
    const auto ignore = [](const LogitsBlock&) { return absl::OkStatus(); };
    auto launched = runner_->model().Launch(
        {step.batch, &runner_->cache(), ignore, nullptr});
    if (launched.ok()) step.launched.emplace(*std::move(launched));
    return launched.status();
  }

  BatchSequence Prompt(int sequence) const {
    BatchSequence part;
    part.tokens = prompts_[sequence];
    part.prompt_len = kPromptLens[sequence];
    part.page_table = pages_[sequence];
    return part;
  }

  // Sequences join one a step, and stand at other places every step. Returns
  // the tokens of each.
  std::array<std::vector<TokenId>, kNumSequences> Generate(bool ahead) {
    std::array<std::vector<TokenId>, kNumSequences> drawn;
    std::unique_ptr<Step> last;
    const auto finish = [&](Step& step) {
      const auto report = step.launched->Finish();
      EXPECT_TRUE(report.ok()) << report.status();
      for (size_t at = 0; at < step.order.size(); ++at) {
        drawn[step.order[at]].push_back(step.best[step.order[at]]);
      }
    };
    for (int s = 0; s < kNumGenerated; ++s) {
      auto step = std::make_unique<Step>();
      // Prompts first.
      for (int i = kNumSequences - 1; i >= 0; --i) {
        if (s == i) step->order.push_back(i);
      }
      for (int k = 0; k < kNumSequences; ++k) {
        const int i = (s + k) % kNumSequences;
        if (s > i) step->order.push_back(i);
      }
      for (const int i : step->order) {
        BatchSequence part = Prompt(i);
        part.draws = absl::MakeConstSpan(&greedy_, 1);
        part.drawn = &step->best[i];
        if (s > i) {
          part.position_begin = kPromptLens[i] + s - i - 1;
          part.tokens = absl::MakeConstSpan(&kAnyToken, 1);
          if (!ahead) part.tokens = absl::MakeConstSpan(&drawn[i].back(), 1);
          for (size_t at = 0; ahead && at < last->order.size(); ++at) {
            if (last->order[at] != i) continue;
            part.drawn_by = {static_cast<int32_t>(at), 0};
          }
        }
        step->batch.push_back(part);
      }
      const absl::Status status = Launch(*step);
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) return drawn;
      if (ahead && last != nullptr) finish(*last);
      if (!ahead) finish(*step);
      last = std::move(step);
    }
    if (ahead) finish(*last);
    return drawn;
  }

  static constexpr TokenId kAnyToken = 0;
  RowDraw greedy_;
  std::string folder_;
  std::unique_ptr<ModelRunner> runner_;
  std::array<std::vector<int32_t>, kNumSequences> prompts_;
  std::array<std::vector<int32_t>, kNumSequences> pages_;
};

TEST_P(LaunchedStepTest, TakesTokensThatTheHostHasNotSeen) {
  const auto one_by_one = Generate(false);
  const auto ahead = Generate(true);
  for (int i = 0; i < kNumSequences; ++i) {
    ASSERT_EQ(one_by_one[i].size(), static_cast<size_t>(kNumGenerated - i));
    EXPECT_EQ(ahead[i], one_by_one[i]) << i;
  }
  // Else a token that was not passed on would show nowhere.
  EXPECT_NE(one_by_one[0],
            std::vector<TokenId>(kNumGenerated, one_by_one[0][0]));
}

TEST_P(LaunchedStepTest, RefusesTokensThatWereNotDrawn) {
  Step prompt;
  prompt.batch = {Prompt(0), Prompt(1)};
  prompt.batch[0].draws = absl::MakeConstSpan(&greedy_, 1);
  prompt.batch[0].drawn = &prompt.best[0];
  BatchSequence row = Prompt(0);
  row.position_begin = kPromptLens[0];
  row.tokens = absl::MakeConstSpan(&kAnyToken, 1);
  const BatchSequence::DrawnBy wrong[] = {
      {-1, 0}, {1, 0}, {2, 0}, {0, 1}, {0, -1}};
  for (const BatchSequence::DrawnBy& drawn_by : wrong) {
    Step again;
    again.batch = prompt.batch;
    ASSERT_TRUE(Launch(again).ok());
    Step step;
    row.drawn_by = drawn_by;
    step.batch = {row};
    EXPECT_EQ(Launch(step).code(), absl::StatusCode::kInvalidArgument)
        << drawn_by.sequence << " " << drawn_by.draw;
  }
  Step step;
  row.drawn_by = {0, 0};  // but the last launch failed
  step.batch = {row};
  EXPECT_EQ(Launch(step).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(Launch(prompt).ok());
  EXPECT_TRUE(Launch(step).ok());
}

TEST_P(LaunchedStepTest, NeedNotBeFinished) {
  for (int i = 0; i < 5; ++i) {
    Step step;
    step.batch = {Prompt(0)};
    ASSERT_TRUE(Launch(step).ok());
  }
}

std::vector<std::string> AsynchronousDevices() {
  std::vector<std::string> names = TestDevices();
  names.erase(std::remove(names.begin(), names.end(), "cpu"), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Devices, LaunchedStepTest,
                         testing::ValuesIn(AsynchronousDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
