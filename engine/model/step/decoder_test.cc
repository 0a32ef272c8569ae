// Steps of generated rows only, replayed and not.
#include "engine/model/step/decoder.h"

#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/engine/model_runner.h"
#include "tests/testing/engine/reference_llama.h"
#include "tests/testing/engine/test_devices.h"
#include "tests/testing/engine/tiny/tiny_llama.h"
#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

// A sequence that joins at a step, and leaves when its tokens are computed.
struct Guest {
  int step = 0;
  int32_t prompt_len = 0;
  int32_t num_generated = 0;
};

// Batches of 1 to 8 rows, each for some steps; contexts that pass powers of two
// blocks while they are generated; pages freed by nobody, so each has its own.
constexpr Guest kGuests[] = {
    {0, 60, 70}, {5, 500, 40},   {6, 3, 20},  {11, 127, 30}, {12, 250, 25},
    {13, 64, 9}, {19, 1000, 20}, {20, 1, 20}, {27, 90, 6},
};
constexpr int kNumSteps = 71;

std::vector<int32_t> RandomTokens(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = random() % kTinyLlamaVocabSize;
  return tokens;
}

class DecoderTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    folder_ = testing::TempDir() + "decoder_" + GetParam();
    mkdir(folder_.c_str(), 0700);
  }

  std::unique_ptr<ModelRunner> RunAll(DType dtype, bool replays) {
    LlamaModelOptions options;
    options.replay_decode_steps = replays;
    auto loaded =
        ModelRunner::Load(folder_, dtype, 100, GetParam(), 1, options);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (!loaded.ok()) return nullptr;
    std::unique_ptr<ModelRunner> runner = *std::move(loaded);
    runner->set_traces(false);
    for (const Guest& guest : kGuests) {
      const int64_t count = guest.prompt_len + guest.num_generated;
      runner->Add(RandomTokens(count, guest.prompt_len), guest.prompt_len, {},
                  nullptr);
    }
    for (int step = 0; step < kNumSteps; ++step) {
      std::vector<ModelRunner::Slice> slices;
      for (int32_t i = 0; i < static_cast<int32_t>(std::size(kGuests)); ++i) {
        const int age = step - kGuests[i].step;
        if (age == 0) slices.push_back({i, kGuests[i].prompt_len});
        if (age > 0 && age <= kGuests[i].num_generated)
          slices.push_back({i, 1});
      }
      const absl::Status status = runner->Step(slices);
      EXPECT_TRUE(status.ok()) << step << ": " << status;
    }
    return runner;
  }

  // On the device and off it the same rows have the same highest logit.
  void ExpectBestTokensAreHighest(const ModelRunner::Sequence& s) const {
    if (GetParam() == "cpu") return;
    // One of the prompt's step, one of each generated row.
    ASSERT_EQ(s.drawn.size(), s.tokens.size() - s.prompt_len + 1);
    for (size_t i = 0; i < s.drawn.size(); ++i) {
      const auto row = s.logits.begin() +
                       (s.prompt_len - 1 + i) * int64_t{kTinyLlamaVocabSize};
      const auto highest = std::max_element(row, row + kTinyLlamaVocabSize);
      EXPECT_EQ(s.drawn[i], highest - row) << i;
    }
  }

  std::string folder_;
};

TEST_P(DecoderTest, ReplayedStepsAreTheEnqueuedOnesBitForBit) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    TinyLlamaOptions options;
    options.head_dim = dtype == DType::kFloat32 ? 16 : 64;
    ASSERT_TRUE(WriteTinyLlama(folder_, options).ok());
    const auto replayed = RunAll(dtype, true);
    const auto enqueued = RunAll(dtype, false);
    ASSERT_TRUE(replayed != nullptr && enqueued != nullptr);
    EXPECT_EQ(enqueued->model().num_replays(), 0);
    // Of 71 steps, 9 have a prompt; each shape runs once before it is recorded.
    EXPECT_EQ(replayed->model().num_replays() > 30, GetParam() != "cpu")
        << replayed->model().num_replays();
    for (int32_t i = 0; i < static_cast<int32_t>(std::size(kGuests)); ++i) {
      const ModelRunner::Sequence& a = replayed->sequence(i);
      const ModelRunner::Sequence& b = enqueued->sequence(i);
      EXPECT_TRUE(a.logits == b.logits) << i;
      EXPECT_EQ(a.drawn, b.drawn) << i;
      ExpectBestTokensAreHighest(a);
    }
  }
}

TEST_P(DecoderTest, RowsAreLikeTheReferences) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    TinyLlamaOptions options;
    options.head_dim = 64;
    ASSERT_TRUE(WriteTinyLlama(folder_, options).ok());
    auto reference = ReferenceLlama::Load(folder_, options);
    ASSERT_TRUE(reference.ok()) << reference.status();
    const auto replayed = RunAll(dtype, true);
    ASSERT_NE(replayed, nullptr);
    const auto all = [](int32_t, int32_t, int32_t, int32_t) { return true; };
    const ReferencePrecision precision = dtype == DType::kFloat32
                                             ? ReferencePrecision::kFloat32
                                             : ReferencePrecision::kBFloat16;
    for (const int32_t i : {0, 3, 7}) {
      const ModelRunner::Sequence& s = replayed->sequence(i);
      const std::vector<float> exact = reference->Forward(
          s.tokens, s.prompt_len, all, ReferencePrecision::kDouble);
      const std::vector<float> plain =
          reference->Forward(s.tokens, s.prompt_len, all, precision);
      EXPECT_TRUE(WithinErrorBudget(s.logits, plain, exact, dtype)) << i;
    }
  }
}

TEST(DecoderShapeTest, RowsAreRoundedUpWhereKernelsPassOverTilesOfNone) {
  EXPECT_EQ(Decoder::RowsOf(Backend::kCuda, 1), 1);
  EXPECT_EQ(Decoder::RowsOf(Backend::kCuda, 5), 8);
  EXPECT_EQ(Decoder::RowsOf(Backend::kCuda, 8), 8);
  EXPECT_EQ(Decoder::RowsOf(Backend::kCuda, 129), Decoder::kMaxRows);
  EXPECT_EQ(Decoder::RowsOf(Backend::kCpu, 5), 5);
}

INSTANTIATE_TEST_SUITE_P(Devices, DecoderTest, testing::ValuesIn(TestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
