#include "kernels/top_tokens/top_tokens.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/typed_array.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_top_tokens.h"
#endif

namespace seer {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16};

// Any backend, on arguments in host memory.
absl::Status TopTokensOn(Backend backend, const TopTokensArgs& args) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return TopTokensOnDevice(args);
#endif
  return TopTokens(backend, args, {});
}

std::vector<Backend> BackendsWithTopTokens() {
  std::vector<Backend> backends;
  for (const Backend backend : BuiltBackends()) {
    if (backend != Backend::kCpu) backends.push_back(backend);
  }
  return backends;
}

struct TopResult {
  std::vector<int32_t> ids;
  std::vector<float> logits;
  std::vector<double> log_sum_exp;
};

TopResult Top(Backend backend, const TypedArray& logits, int32_t vocab_size,
              int32_t num_top, bool wants_sum = true) {
  TopTokensArgs args;
  args.dtype = logits.dtype();
  args.num_rows = logits.size() / vocab_size;
  args.vocab_size = vocab_size;
  args.logits = logits.data();
  args.num_top = num_top;
  TopResult result;
  result.ids.assign(args.num_rows * num_top, -7);
  result.logits.assign(args.num_rows * num_top, -7.0f);
  result.log_sum_exp.assign(args.num_rows, -7.0);
  args.ids = result.ids.data();
  args.top_logits = result.logits.data();
  if (wants_sum) args.log_sum_exp = result.log_sum_exp.data();
  const absl::Status status = TopTokensOn(backend, args);
  EXPECT_TRUE(status.ok()) << status;
  return result;
}

TypedArray RandomLogits(DType dtype, int64_t size, float coarseness,
                        std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, 4.0f);
  TypedArray logits(dtype, size);
  for (int64_t i = 0; i < size; ++i) {
    const float x = normal(random);
    logits.Set(i,
               coarseness > 0.0f ? std::round(x / coarseness) * coarseness : x);
  }
  return logits;
}

// The sum in float, term by term.
float PlainLogSumExp(const float* logits, int64_t num_logits) {
  const float max = *std::max_element(logits, logits + num_logits);
  float sum = 0.0f;
  for (int64_t i = 0; i < num_logits; ++i) sum += std::exp(logits[i] - max);
  return max + std::log(sum);
}

void ExpectSameTokens(const TopResult& got, const TopResult& want) {
  EXPECT_EQ(got.ids, want.ids);
  EXPECT_EQ(got.logits, want.logits);
}

struct Scores {
  std::vector<float> logits;
  std::vector<int32_t> ranks;
};

// Of tokens[i] in row rows[i], with all other results beside them or not.
Scores Score(Backend backend, const TypedArray& logits, int32_t vocab_size,
             const std::vector<int32_t>& rows,
             const std::vector<int32_t>& tokens, int32_t num_top,
             bool wants_sum) {
  TopTokensArgs args;
  args.dtype = logits.dtype();
  args.num_rows = rows.size();
  args.vocab_size = vocab_size;
  args.logits = logits.data();
  args.row_indices = rows.data();
  args.num_top = num_top;
  std::vector<int32_t> ids(args.num_rows * num_top);
  std::vector<float> top_logits(args.num_rows * num_top);
  std::vector<double> log_sum_exp(args.num_rows);
  args.ids = ids.data();
  args.top_logits = top_logits.data();
  if (wants_sum) args.log_sum_exp = log_sum_exp.data();
  Scores scores;
  scores.logits.assign(args.num_rows, -7.0f);
  scores.ranks.assign(args.num_rows, -7);
  args.scored_tokens = tokens.data();
  args.scored_logits = scores.logits.data();
  args.scored_ranks = scores.ranks.data();
  const absl::Status status = TopTokensOn(backend, args);
  EXPECT_TRUE(status.ok()) << status;
  // What is scored changes nothing else.
  for (int64_t i = 0; i < args.num_rows; ++i) {
    if (rows[i] < 0) {
      EXPECT_EQ(ids[i * num_top], -1);
      EXPECT_TRUE(std::isnan(top_logits[i * num_top]));
      EXPECT_TRUE(!wants_sum || std::isnan(log_sum_exp[i]));
    } else if (scores.ranks[i] >= 0 && scores.ranks[i] < num_top) {
      EXPECT_EQ(ids[i * num_top + scores.ranks[i]], tokens[i]) << i;
    }
  }
  return scores;
}

class TopTokensTest : public BackendTest {};

TEST_P(TopTokensTest, MatchesTheReference) {
  std::mt19937_64 random(31);
  std::vector<float> got, plain, reference;
  for (const int32_t vocab_size :
       {1, 5, 64, 1000, 1023, 1025, 8192, 8200, 32003, 49152, 128256}) {
    for (const DType dtype : kDTypes) {
      for (const float coarseness : {0.0f, 1.0f}) {
        const int32_t num_rows = vocab_size > 10000 ? 2 : 3;
        const TypedArray logits = RandomLogits(
            dtype, int64_t{num_rows} * vocab_size, coarseness, random);
        for (const int32_t num_top : {1, 2, 20, 64}) {
          if (num_top > vocab_size) continue;
          SCOPED_TRACE(testing::Message()
                       << "the best " << num_top << " of " << vocab_size << ", "
                       << SizeOf(dtype) << " bytes, in steps of "
                       << coarseness);
          const TopResult want =
              Top(Backend::kReference, logits, vocab_size, num_top);
          const TopResult result = Top(GetParam(), logits, vocab_size, num_top);
          ExpectSameTokens(result, want);
          ExpectSameTokens(Top(GetParam(), logits, vocab_size, num_top, false),
                           want);
          got.insert(got.end(), result.log_sum_exp.begin(),
                     result.log_sum_exp.end());
          reference.insert(reference.end(), want.log_sum_exp.begin(),
                           want.log_sum_exp.end());
          const std::vector<float> values = logits.ToFloats();
          for (int32_t row = 0; row < num_rows; ++row) {
            plain.push_back(
                PlainLogSumExp(&values[int64_t{row} * vocab_size], vocab_size));
          }
        }
      }
    }
  }
  EXPECT_TRUE(WithinErrorBudget(got, plain, reference, DType::kFloat32));
}

// Rows that put the highest logits where one part of a row has them all, and
// rows of ties only.
TEST_P(TopTokensTest, AnyOrderOfLogits) {
  constexpr int32_t kVocabSize = 30000;
  const std::function<float(int32_t)> orders[] = {
      [](int32_t id) { return static_cast<float>(id); },
      [](int32_t id) { return static_cast<float>(-id); },
      [](int32_t) { return -3.5f; },
      [](int32_t id) { return id % 2 == 0 ? 0.0f : -0.0f; },
      [](int32_t id) { return id % 1024 < 3 ? 9.0f : 1.0f; },
      [](int32_t id) { return id / 4 % 1024 == 7 ? 2.0f + id : 0.0f; },
      [](int32_t id) { return id / 8 % 1024 == 7 ? 2.0f + id : 0.0f; },
      [](int32_t id) { return id < 5 ? -kLargest : -kLargest / 2; },
      [](int32_t id) { return id == 29999 ? -1e30f : -kLargest / 2; },
  };
  for (const DType dtype : kDTypes) {
    TypedArray logits(dtype, int64_t{std::size(orders)} * kVocabSize);
    for (int64_t i = 0; i < logits.size(); ++i) {
      // -kLargest is no bf16 that is finite.
      logits.Set(i, std::max(orders[i / kVocabSize](i % kVocabSize),
                             -0.99f * kLargest));
    }
    for (const int32_t num_top : {1, 3, 64}) {
      SCOPED_TRACE(testing::Message() << "the best " << num_top);
      ExpectSameTokens(Top(GetParam(), logits, kVocabSize, num_top),
                       Top(Backend::kReference, logits, kVocabSize, num_top));
    }
  }
}

TEST_P(TopTokensTest, NamesRowsThatAreNotFinite) {
  constexpr int32_t kVocabSize = 3000;
  std::mt19937_64 random(32);
  for (const DType dtype : kDTypes) {
    TypedArray logits = RandomLogits(dtype, 5 * kVocabSize, 0.0f, random);
    logits.Set(1 * kVocabSize + 17, NAN);
    logits.Set(2 * kVocabSize + 2999, kInf);
    logits.Set(4 * kVocabSize, -kInf);
    for (const int32_t num_top : {1, 4}) {
      const TopResult result = Top(GetParam(), logits, kVocabSize, num_top);
      for (const int32_t row : {0, 1, 2, 3, 4}) {
        const bool is_finite = row == 0 || row == 3;
        for (int32_t i = row * num_top; i < (row + 1) * num_top; ++i) {
          EXPECT_EQ(result.ids[i] == -1, !is_finite) << row;
          EXPECT_EQ(std::isnan(result.logits[i]), !is_finite) << row;
        }
        EXPECT_EQ(std::isnan(result.log_sum_exp[row]), !is_finite) << row;
      }
      const Scores scores =
          Score(GetParam(), logits, kVocabSize, {0, 1, 2, 3, 4},
                {5, 5, 5, 5, 5}, num_top, /*wants_sum=*/false);
      for (const int32_t row : {0, 1, 2, 3, 4}) {
        const bool is_finite = row == 0 || row == 3;
        EXPECT_EQ(scores.ranks[row] == -1, !is_finite) << row;
        EXPECT_EQ(std::isnan(scores.logits[row]), !is_finite) << row;
      }
    }
  }
}

TEST_P(TopTokensTest, ScoresGivenTokens) {
  std::mt19937_64 random(33);
  for (const int32_t vocab_size : {1, 5, 1000, 1025, 8200, 128256}) {
    for (const DType dtype : kDTypes) {
      for (const float coarseness : {0.0f, 1.0f}) {
        const TypedArray logits =
            RandomLogits(dtype, 2 * vocab_size, coarseness, random);
        // Rows in any order, repeated and left out; tokens that are none.
        std::vector<int32_t> rows = {1, 1, 0, -1, 1, 0, 1};
        std::vector<int32_t> tokens = {0, vocab_size - 1, vocab_size, 0, -1};
        while (tokens.size() < rows.size()) {
          tokens.push_back(static_cast<int32_t>(random() % vocab_size));
        }
        // The best token of row 0.
        rows.push_back(0);
        tokens.push_back(
            Top(Backend::kReference, logits, vocab_size, 1).ids[0]);
        for (const int32_t num_top : {1, std::min(20, vocab_size)}) {
          for (const bool wants_sum : {false, true}) {
            SCOPED_TRACE(testing::Message()
                         << "of " << vocab_size << " in steps of " << coarseness
                         << ", " << num_top << " more, sum " << wants_sum);
            const Scores want = Score(Backend::kReference, logits, vocab_size,
                                      rows, tokens, num_top, wants_sum);
            const Scores got = Score(GetParam(), logits, vocab_size, rows,
                                     tokens, num_top, wants_sum);
            EXPECT_EQ(got.ranks, want.ranks);
            EXPECT_EQ(want.ranks.back(), 0);
            for (size_t i = 0; i < rows.size(); ++i) {
              const bool exists = rows[i] >= 0 && i != 2 && i != 4;
              EXPECT_EQ(want.ranks[i] >= 0, exists) << i;
              EXPECT_EQ(std::isnan(got.logits[i]), !exists) << i;
              if (exists) {
                EXPECT_EQ(got.logits[i], want.logits[i]) << i;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(TopTokensTest, NoRowsAreNothingToDo) {
  TopTokensArgs args;
  args.vocab_size = 10;
  EXPECT_TRUE(TopTokens(GetParam(), args, {}).ok());
}

INSTANTIATE_TEST_SUITE_P(Backends, TopTokensTest,
                         testing::ValuesIn(BackendsWithTopTokens()),
                         BackendName);

TEST(TopTokensReferenceTest, ByHand) {
  const TypedArray logits(DType::kFloat32, {1.0f, 3.0f, -0.0f, 3.0f, 0.0f});
  const TopResult result = Top(Backend::kReference, logits, 5, 5);
  EXPECT_EQ(result.ids, (std::vector<int32_t>{1, 3, 0, 2, 4}));
  EXPECT_EQ(result.logits, (std::vector<float>{3.0f, 3.0f, 1.0f, -0.0f, 0.0f}));
  EXPECT_DOUBLE_EQ(result.log_sum_exp[0],
                   std::log(2 * std::exp(3.0) + std::exp(1.0) + 2));
}

TEST(TopTokensReferenceTest, ScoresByHand) {
  const TypedArray logits(DType::kFloat32, {1.0f, 3.0f, -0.0f, 3.0f, 0.0f});
  const Scores scores =
      Score(Backend::kReference, logits, 5, {0, 0, 0, 0, 0}, {0, 1, 2, 3, 4},
            /*num_top=*/1, /*wants_sum=*/false);
  EXPECT_EQ(scores.ranks, (std::vector<int32_t>{2, 0, 3, 1, 4}));
  EXPECT_EQ(scores.logits, logits.ToFloats());
}

TEST(TopTokensChecksTest, RefusesWhatItCannotRun) {
  std::vector<float> row(8);
  std::vector<int32_t> ids(8);
  TopTokensArgs good;
  good.dtype = DType::kFloat32;
  good.num_rows = 1;
  good.vocab_size = 8;
  good.logits = good.top_logits = row.data();
  good.ids = ids.data();
  ASSERT_TRUE(TopTokens(Backend::kReference, good, {}).ok());
  EXPECT_EQ(TopTokens(Backend::kCpu, good, {}).code(),
            absl::StatusCode::kUnimplemented);
  const std::function<void(TopTokensArgs&)> breakages[] = {
      [](TopTokensArgs& a) { a.num_rows = -1; },
      [](TopTokensArgs& a) { a.vocab_size = 0; },
      [](TopTokensArgs& a) { a.num_top = 0; },
      [](TopTokensArgs& a) { a.num_top = 9; },
      [](TopTokensArgs& a) {
        a.vocab_size = 1000;
        a.num_top = kMaxTopTokens + 1;
      },
      [](TopTokensArgs& a) { a.logits = nullptr; },
      [](TopTokensArgs& a) { a.ids = nullptr; },
      [](TopTokensArgs& a) { a.top_logits = nullptr; },
      [](TopTokensArgs& a) { a.scored_tokens = a.ids; },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    TopTokensArgs bad = good;
    breakages[i](bad);
    for (const Backend backend : BuiltBackends()) {
      EXPECT_EQ(TopTokens(backend, bad, {}).code(),
                absl::StatusCode::kInvalidArgument)
          << "breakage " << i << " on " << Name(backend);
    }
  }
}

}  // namespace
}  // namespace seer
