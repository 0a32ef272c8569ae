#include "kernels/attention_pooling/mass_recall.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/cases/pooling_case.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

constexpr int32_t kHeads = 3;
constexpr uint64_t kGarbage = 0xa5a5'5a5a'f00d'0ff0;

// Random mass of two prompts' tiles, and random sets.
class MassRecallTest : public BackendTest {
 protected:
  MassRecallTest()
      : ragged_({WholePrompt(5000), PromptChunk(9000, 8192, 9000)}, 1) {
    args_.batch = ragged_.batch();
    args_.num_query_heads = kHeads;
    args_.row_len = ragged_.max_visible_blocks() + 5;
    args_.sets.num_words = ragged_.max_visible_blocks() / 64 + 1;
    args_.sets.num_query_heads = kHeads;
    const int64_t rows = int64_t{args_.batch.num_tiles} * kHeads;
    mass_.assign(rows * args_.row_len, NAN);
    bits_.assign(rows * args_.sets.num_words, 0);
    counts_.assign(rows, 0);
    recall_.assign(rows, NAN);
    args_.mass = mass_.data();
    args_.sets.bits = bits_.data();
    args_.sets.counts = counts_.data();
    args_.recall = recall_.data();
    std::mt19937_64 random(3);
    for (int64_t row = 0; row < rows; ++row) {
      const int32_t visible = VisibleBlocks(args_.batch.tiles[row / kHeads]);
      for (int32_t j = 0; j < visible; ++j) {
        mass_[row * args_.row_len + j] =
            static_cast<float>(random() % 1000) / (500.0f * visible);
        if (random() % 4 != 0) continue;
        bits_[row * args_.sets.num_words + j / 64] |= uint64_t{1} << (j % 64);
        ++counts_[row];
      }
    }
  }

  // Each row's sum in fp32 and in double: over the blocks in the set, or all.
  void Sum(bool all, std::vector<float>* plain, std::vector<float>* exact) {
    for (int64_t row = 0; row < static_cast<int64_t>(counts_.size()); ++row) {
      const int32_t visible = VisibleBlocks(args_.batch.tiles[row / kHeads]);
      const uint64_t* bits = &bits_[row * args_.sets.num_words];
      float plain_sum = 0.0f;
      double exact_sum = 0.0;
      for (int32_t j = 0; j < visible; ++j) {
        const bool in_set =
            counts_[row] == visible || (bits[j / 64] >> (j % 64)) % 2 == 1;
        if (!all && !in_set) continue;
        plain_sum += mass_[row * args_.row_len + j];
        exact_sum += mass_[row * args_.row_len + j];
      }
      plain->push_back(plain_sum);
      exact->push_back(static_cast<float>(exact_sum));
    }
  }

  const RaggedCase ragged_;
  std::vector<float> mass_, recall_;
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  MassRecallArgs args_;
};

TEST_P(MassRecallTest, SumsTheBlocksOfSets) {
  std::vector<float> plain, exact;
  Sum(/*all=*/false, &plain, &exact);
  const absl::Status status = MassRecallFromHost(GetParam(), args_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(WithinErrorBudget(recall_, plain, exact, DType::kFloat32));
}

TEST_P(MassRecallTest, ReadsNoBitsOfFullSets) {
  std::vector<float> plain, exact;
  Sum(/*all=*/true, &plain, &exact);
  bits_.assign(bits_.size(), kGarbage);
  for (size_t row = 0; row < counts_.size(); ++row) {
    counts_[row] = VisibleBlocks(args_.batch.tiles[row / kHeads]);
  }
  const absl::Status status = MassRecallFromHost(GetParam(), args_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(WithinErrorBudget(recall_, plain, exact, DType::kFloat32));
}

TEST_P(MassRecallTest, RefusesShapesThatDisagree) {
  const auto code = [](const MassRecallArgs& args) {
    return MassRecall(Backend::kCpu, args, {}).code();
  };
  EXPECT_EQ(code(args_), absl::StatusCode::kOk);
  MassRecallArgs args = args_;
  args.row_len = ragged_.max_visible_blocks() - 1;
  EXPECT_EQ(code(args), absl::StatusCode::kInvalidArgument);
  args = args_;
  args.sets.num_words = 1;
  EXPECT_EQ(code(args), absl::StatusCode::kInvalidArgument);
  args = args_;
  args.sets.num_query_heads = kHeads + 1;
  EXPECT_EQ(code(args), absl::StatusCode::kInvalidArgument);
  args = args_;
  args.recall = nullptr;
  EXPECT_EQ(code(args), absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Backends, MassRecallTest,
                         testing::ValuesIn(BuiltBackends()), BackendName);

}  // namespace
}  // namespace seer
