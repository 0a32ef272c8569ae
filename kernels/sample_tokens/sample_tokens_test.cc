#include "kernels/sample_tokens/sample_tokens.h"

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
#include "tests/testing/kernels/oracles/draw_oracle.h"
#include "tests/testing/kernels/typed_array.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_sample_tokens.h"
#endif

namespace seer {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr double kLargestUniform = 1.0 - 0x1p-53;
constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16};
using Random = std::mt19937_64;
using Ids = std::vector<int32_t>;

// Any backend, on arguments in host memory.
absl::Status SampleTokensOn(Backend backend, const SampleTokensArgs& args) {
#ifdef SEER_CUDA
  if (backend == Backend::kCuda) return SampleTokensOnDevice(args);
#endif
  return SampleTokens(backend, args, {});
}

std::vector<Backend> BackendsWithSampleTokens() {
  std::vector<Backend> backends;
  for (const Backend backend : BuiltBackends()) {
    if (backend != Backend::kCpu) backends.push_back(backend);
  }
  return backends;
}

// Rows and what is drawn from them.
struct SampleCase {
  SampleCase(DType dtype, int64_t num_rows, int32_t vocab_size)
      : logits(dtype, num_rows * vocab_size), vocab_size(vocab_size) {}

  SampleTokensArgs Args() const {
    SampleTokensArgs args;
    args.dtype = logits.dtype();
    args.num_rows = logits.size() / vocab_size;
    args.vocab_size = vocab_size;
    args.logits = logits.data();
    args.num_draws = draws.size();
    args.draws = draws.data();
    args.adjustments = adjustments.data();
    args.num_adjustments = adjustments.size();
    return args;
  }
  void Adjust(TokenDraw* draw, const std::vector<TokenAdjustment>& own) {
    draw->first_adjustment = static_cast<int32_t>(adjustments.size());
    draw->num_adjustments = static_cast<int32_t>(own.size());
    adjustments.insert(adjustments.end(), own.begin(), own.end());
  }

  TypedArray logits;
  int32_t vocab_size = 0;
  std::vector<TokenDraw> draws;
  std::vector<TokenAdjustment> adjustments;
};

Ids Sampled(Backend backend, const SampleCase& c) {
  Ids ids(c.draws.size(), -7);
  SampleTokensArgs args = c.Args();
  args.ids = ids.data();
  const absl::Status status = SampleTokensOn(backend, args);
  EXPECT_TRUE(status.ok()) << status;
  return ids;
}

void ExpectAllowed(Backend backend, const SampleCase& c) {
  const Ids ids = Sampled(backend, c);
  for (size_t i = 0; i < ids.size(); ++i) {
    const TokenDraw& draw = c.draws[i];
    const DrawOracle oracle(c.Args(), draw);
    EXPECT_TRUE(oracle.Allows(ids[i], draw.uniform))
        << "draw " << i << " of row " << draw.row << " of " << c.vocab_size
        << ", " << SizeOf(c.logits.dtype()) << " bytes: temperature "
        << draw.temperature << " top_k " << draw.top_k << " top_p "
        << draw.top_p << " min_p " << draw.min_p << " uniform " << draw.uniform
        << ", " << draw.num_adjustments << " adjustments";
  }
}

double Uniform(Random& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

std::vector<TokenAdjustment> RandomAdjustments(int32_t vocab_size, int64_t most,
                                               Random& random) {
  std::vector<TokenAdjustment> adjustments;
  std::vector<bool> taken(vocab_size);
  for (int64_t i = random() % (most + 1); i > 0; --i) {
    TokenAdjustment a;
    a.token = static_cast<int32_t>(random() % vocab_size);
    if (taken[a.token]) continue;
    taken[a.token] = true;
    if (random() % 2) a.bias = static_cast<float>(10 * Uniform(random) - 5);
    a.count = static_cast<int32_t>(random() % 5) - 1;
    a.banned = random() % 8 == 0;
    adjustments.push_back(a);
  }
  return adjustments;
}

TokenDraw RandomDraw(const SampleCase& c, Random& random) {
  TokenDraw draw;
  draw.row = static_cast<int32_t>(random() % c.Args().num_rows);
  draw.temperature = random() % 8 == 0 ? 0.0 : 0.05 + 1.95 * Uniform(random);
  draw.uniform = Uniform(random);
  if (random() % 3 == 0) {
    draw.top_k = static_cast<int32_t>(random() %
                                      (random() % 2 ? c.vocab_size + 5 : 100));
  }
  if (random() % 3 == 0) draw.top_p = 1e-6 + (1 - 1e-6) * Uniform(random);
  if (random() % 4 == 0) draw.min_p = 0.5 * Uniform(random) * Uniform(random);
  if (random() % 2) draw.repetition_penalty = 0.5 + 1.5 * Uniform(random);
  if (random() % 2) draw.presence_penalty = 4 * Uniform(random) - 2;
  if (random() % 2) draw.frequency_penalty = 4 * Uniform(random) - 2;
  return draw;
}

class SampleTokensTest : public BackendTest {};

TEST_P(SampleTokensTest, DrawsWhatTheDefinitionAllows) {
  Random random(51);
  for (const int32_t vocab_size :
       {1, 2, 5, 64, 1000, 1023, 1025, 8192, 8200, 32003, 49152, 128256}) {
    for (const DType dtype : kDTypes) {
      SampleCase c(dtype, 3, vocab_size);
      for (int64_t i = 0; i < c.logits.size(); ++i) {
        // The first row has few different logits, the last is rather flat.
        const float x = std::normal_distribution<float>()(random);
        const int64_t row = i / vocab_size;
        c.logits.Set(i, row == 0 ? std::round(3 * x) : row == 1 ? 4 * x : x);
      }
      const int num_draws = vocab_size > 10000 ? 24 : 100;
      for (int i = 0; i < num_draws; ++i) {
        TokenDraw draw = RandomDraw(c, random);
        if (random() % 2) {
          c.Adjust(&draw, RandomAdjustments(vocab_size, 200, random));
        }
        c.draws.push_back(draw);
      }
      ExpectAllowed(GetParam(), c);
    }
  }
}

// Rows that put tokens where one part of the work has them all.
const std::function<float(int32_t)> kOddRows[] = {
    [](int32_t) { return -3.5f; },
    [](int32_t id) { return id % 2 == 0 ? 0.0f : -0.0f; },
    [](int32_t id) { return static_cast<float>(id) / 64; },
    [](int32_t id) { return static_cast<float>(-id) / 64; },
    [](int32_t id) { return 1.0f + static_cast<float>(id % 7) * 0x1p-23f; },
    [](int32_t id) { return id == 77 ? 80.0f : static_cast<float>(id % 3); },
    [](int32_t id) { return id % 1024 < 3 ? 9.0f : 1.0f; },
    [](int32_t id) {
      return id % 5 == 0 ? -0.98f * kLargest : 0.98f * kLargest;
    },
    [](int32_t id) { return static_cast<float>(id % 50) * 1e-38f; },
};

TEST_P(SampleTokensTest, StandsExtremeRowsAndOptions) {
  constexpr int32_t kVocabSize = 5000;
  constexpr double kTemperatures[] = {0.0,  1e-300, 1e-30, 1e-6,
                                      0.01, 1.0,    2.0,   1e30};
  constexpr double kTopPs[] = {1e-300, 1e-9, 0.5, 1 - 0x1p-53, 1.0};
  constexpr double kMinPs[] = {0.0, 0.0, 1e-300, 1e-5, 0.999, 1.0};
  constexpr int32_t kTopKs[] = {
      0, 0, 1, 2, 2500, kVocabSize - 1, kVocabSize, kVocabSize + 1};
  constexpr double kUniforms[] = {0.0, 0x1p-53, 0.3, 0.7, kLargestUniform};
  Random random(52);
  const auto one_of = [&random](const auto& values) {
    return values[random() % std::size(values)];
  };
  for (const DType dtype : kDTypes) {
    SampleCase c(dtype, std::size(kOddRows), kVocabSize);
    for (int64_t i = 0; i < c.logits.size(); ++i) {
      c.logits.Set(i, kOddRows[i / kVocabSize](i % kVocabSize));
    }
    for (int i = 0; i < 600; ++i) {
      TokenDraw draw;
      draw.row = static_cast<int32_t>(i % std::size(kOddRows));
      draw.temperature = one_of(kTemperatures);
      draw.top_p = one_of(kTopPs);
      draw.min_p = one_of(kMinPs);
      draw.top_k = one_of(kTopKs);
      draw.uniform = one_of(kUniforms);
      if (i % 4 == 0) {
        draw.repetition_penalty = i % 8 == 0 ? 1e-300 : 2.0;
        c.Adjust(&draw, RandomAdjustments(kVocabSize, 5000, random));
      }
      c.draws.push_back(draw);
    }
    ExpectAllowed(GetParam(), c);
  }
}

TEST_P(SampleTokensTest, NeverDrawsWhatIsBanned) {
  constexpr int32_t kVocabSize = 40;
  for (const DType dtype : kDTypes) {
    SampleCase c(dtype, 1, kVocabSize);
    Ids want;
    for (const int32_t only : {-1, 0, 17, 39}) {
      std::vector<TokenAdjustment> bans;
      for (int32_t id = 0; id < kVocabSize; ++id) {
        TokenAdjustment ban;
        ban.token = id;
        ban.bias = 5.0f;
        ban.banned = 1;
        if (id != only) bans.push_back(ban);
      }
      for (const double temperature : {0.0, 1e-30, 1.0}) {
        for (const int32_t top_k : {0, 7}) {
          TokenDraw draw;
          draw.row = 0;
          draw.temperature = temperature;
          draw.top_k = top_k;
          draw.uniform = 0.5;
          c.Adjust(&draw, bans);
          c.draws.push_back(draw);
          want.push_back(only);
        }
      }
    }
    EXPECT_EQ(Sampled(GetParam(), c), want);
  }
}

TEST_P(SampleTokensTest, NamesRowsThatAreNotFinite) {
  constexpr int32_t kVocabSize = 3000;
  constexpr int32_t kNumRows = 5;
  Random random(53);
  for (const DType dtype : kDTypes) {
    SampleCase c(dtype, kNumRows, kVocabSize);
    for (int64_t i = 0; i < c.logits.size(); ++i) {
      c.logits.Set(i, std::normal_distribution<float>()(random));
    }
    c.logits.Set(1 * kVocabSize + 17, NAN);
    c.logits.Set(2 * kVocabSize + 2999, kInf);
    c.logits.Set(4 * kVocabSize, -kInf);
    for (const double temperature : {0.0, 1.0}) {
      for (const double top_p : {1.0, 0.5}) {
        for (const bool is_banned : {false, true}) {
          for (int32_t row = 0; row < kNumRows; ++row) {
            TokenDraw draw;
            draw.row = row;
            draw.temperature = temperature;
            draw.top_p = top_p;
            TokenAdjustment ban;
            ban.token = row == 1 ? 17 : row == 2 ? 2999 : 0;
            ban.banned = 1;
            if (is_banned) c.Adjust(&draw, {ban});
            c.draws.push_back(draw);
          }
        }
      }
    }
    const Ids ids = Sampled(GetParam(), c);
    for (size_t i = 0; i < ids.size(); ++i) {
      const int32_t row = c.draws[i].row;
      EXPECT_EQ(ids[i] == -1, row != 0 && row != 3) << i << " of row " << row;
    }
  }
}

// What a draw draws has nothing to do with what else is drawn.
TEST_P(SampleTokensTest, DependsOnItsArgumentsOnly) {
  constexpr int32_t kVocabSize = 4096;
  Random random(54);
  SampleCase c(DType::kBFloat16, 4, kVocabSize);
  for (int64_t i = 0; i < c.logits.size(); ++i) {
    c.logits.Set(i, 3 * std::normal_distribution<float>()(random));
  }
  for (int i = 0; i < 60; ++i) {
    TokenDraw draw = RandomDraw(c, random);
    c.Adjust(&draw, RandomAdjustments(kVocabSize, 50, random));
    c.draws.push_back(draw);
  }
  const Ids ids = Sampled(GetParam(), c);
  SampleCase other = c;
  std::reverse(other.draws.begin(), other.draws.end());
  std::reverse(other.adjustments.begin(), other.adjustments.end());
  for (TokenDraw& draw : other.draws) {
    draw.first_adjustment = static_cast<int32_t>(other.adjustments.size()) -
                            draw.first_adjustment - draw.num_adjustments;
  }
  const TokenDraw idle;
  for (int i = 0; i < 60; ++i) {
    other.draws.insert(other.draws.begin() + 2 * i, idle);
  }
  const Ids again = Sampled(GetParam(), other);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(again[2 * i], -1);
    EXPECT_EQ(again[2 * i + 1], ids[59 - i]);
  }
}

// Pearson's statistic of draws from 40 tokens, of which `num_likely` can be
// drawn; a right sampler stays below the limit 9,999 times of 10,000.
TEST_P(SampleTokensTest, FollowsTheSoftmax) {
  constexpr int32_t kVocabSize = 40;
  constexpr int kNumDraws = 50000;
  struct Kept {
    int32_t top_k;
    double limit;  // for num_likely - 1 degrees of freedom
  };
  for (const Kept kept : {Kept{0, 80.1}, Kept{10, 33.7}}) {
    Random random(55);
    SampleCase c(DType::kFloat32, 1, kVocabSize);
    double mass = 0.0;
    std::vector<double> weights(kVocabSize);
    for (int32_t id = 0; id < kVocabSize; ++id) {
      const int32_t place = id * 7 % kVocabSize;  // 39 is the most likely
      const float logit = 0.1f * static_cast<float>(place);
      c.logits.Set(id, logit);
      if (kept.top_k > 0 && place < kVocabSize - kept.top_k) continue;
      weights[id] = std::exp(logit / 0.8);
      mass += weights[id];
    }
    for (int i = 0; i < kNumDraws; ++i) {
      TokenDraw draw;
      draw.row = 0;
      draw.temperature = 0.8;
      draw.top_k = kept.top_k;
      draw.uniform = Uniform(random);
      c.draws.push_back(draw);
    }
    std::vector<double> counts(kVocabSize);
    for (const int32_t id : Sampled(GetParam(), c)) ++counts.at(id);
    double chi_square = 0.0;
    for (int32_t id = 0; id < kVocabSize; ++id) {
      const double expected = kNumDraws * weights[id] / mass;
      if (expected == 0.0) {
        EXPECT_EQ(counts[id], 0) << id;
        continue;
      }
      chi_square +=
          (counts[id] - expected) * (counts[id] - expected) / expected;
    }
    EXPECT_LT(chi_square, kept.limit) << "top_k " << kept.top_k;
  }
}

TEST_P(SampleTokensTest, NoDrawsAreNothingToDo) {
  SampleTokensArgs args;
  args.vocab_size = 10;
  EXPECT_TRUE(SampleTokens(GetParam(), args, {}).ok());
}

INSTANTIATE_TEST_SUITE_P(Backends, SampleTokensTest,
                         testing::ValuesIn(BackendsWithSampleTokens()),
                         BackendName);

TEST(SampleTokensReferenceTest, ByHand) {
  // 0.25, 0.5, 0.125, 0.125.
  const float ln2 = std::log(2.0f);
  SampleCase c(DType::kFloat32, 1, 4);
  for (const int32_t id : {0, 1, 2, 3}) {
    c.logits.Set(id, (Ids{-2, -1, -3, -3})[id] * ln2);
  }
  Ids want;
  const auto add = [&](int32_t top_k, double top_p, double min_p,
                       double uniform, int32_t id) {
    TokenDraw draw;
    draw.row = 0;
    draw.top_k = top_k;
    draw.top_p = top_p;
    draw.min_p = min_p;
    draw.uniform = uniform;
    c.draws.push_back(draw);
    want.push_back(id);
  };
  add(0, 1.0, 0.0, 0.24, 0);
  add(0, 1.0, 0.0, 0.26, 1);
  add(0, 1.0, 0.0, kLargestUniform, 3);
  add(1, 1.0, 0.0, 0.9, 1);
  add(2, 0.66, 0.0, 0.9, 1);
  add(2, 0.67, 0.0, 0.9, 0);
  add(3, 1.0, 0.0, 0.9, 2);
  add(0, 0.49, 0.0, 0.9, 1);
  add(0, 0.51, 0.0, 0.66, 1);
  add(0, 0.51, 0.0, 0.67, 0);
  add(0, 1.0, 0.3, 0.9, 0);
  add(0, 1.0, 0.2, 0.999, 3);
  add(9, 1.0, 0.0, 0.24, 0);  // in order of id: nothing is cut
  EXPECT_EQ(Sampled(Backend::kReference, c), want);
}

TEST(SampleTokensReferenceTest, AdjustsInOrder) {
  SampleCase c(DType::kFloat32, 1, 3);
  c.logits.Set(0, -1.0f);
  c.logits.Set(1, 1.7f);
  c.logits.Set(2, -9.0f);
  Ids want;
  const auto add = [&](const TokenAdjustment& adjustment, int32_t id) {
    TokenDraw draw;
    draw.row = 0;
    draw.temperature = 0.0;
    draw.repetition_penalty = 2.0;
    draw.presence_penalty = 0.5;
    draw.frequency_penalty = 0.1;
    c.Adjust(&draw, {adjustment});
    c.draws.push_back(draw);
    want.push_back(id);
  };
  add({0, 4.0f, -1, 0}, 0);   // 3
  add({0, 4.0f, 0, 0}, 1);    // 3 / 2, not -1 * 2 + 4
  add({1, 0.0f, 0, 0}, 1);    // 0.85
  add({1, 0.0f, 20, 0}, 0);   // 0.85 - 0.5 - 2
  add({1, 0.0f, 1, 0}, 1);    // 0.85 - 0.6
  add({1, 1e38f, -1, 1}, 0);  // banned
  EXPECT_EQ(Sampled(Backend::kReference, c), want);
}

TEST(SampleTokensChecksTest, RefusesWhatItCannotRun) {
  SampleCase c(DType::kFloat32, 2, 8);
  TokenDraw draw;
  draw.row = 1;
  c.Adjust(&draw, {{3, 1.0f, 0, 0}, {4, 1.0f, 0, 0}});
  c.draws.push_back(draw);
  Ids ids(1);
  SampleTokensArgs good = c.Args();
  good.ids = ids.data();
  ASSERT_TRUE(SampleTokens(Backend::kReference, good, {}).ok());
  EXPECT_EQ(SampleTokens(Backend::kCpu, good, {}).code(),
            absl::StatusCode::kUnimplemented);
  const std::function<void(SampleTokensArgs&)> breakages[] = {
      [](SampleTokensArgs& a) { a.num_rows = -1; },
      [](SampleTokensArgs& a) { a.vocab_size = 0; },
      [](SampleTokensArgs& a) { a.num_draws = -1; },
      [](SampleTokensArgs& a) { a.num_adjustments = -1; },
      [](SampleTokensArgs& a) { a.logits = nullptr; },
      [](SampleTokensArgs& a) { a.draws = nullptr; },
      [](SampleTokensArgs& a) { a.adjustments = nullptr; },
      [](SampleTokensArgs& a) { a.ids = nullptr; },
  };
  for (size_t i = 0; i < std::size(breakages); ++i) {
    SampleTokensArgs bad = good;
    breakages[i](bad);
    for (const Backend backend : BuiltBackends()) {
      EXPECT_EQ(SampleTokens(backend, bad, {}).code(),
                absl::StatusCode::kInvalidArgument)
          << "breakage " << i << " on " << Name(backend);
    }
  }
}

TEST(SampleTokensChecksTest, RefusesDrawsThatCannotBe) {
  const std::function<void(TokenDraw&, std::vector<TokenAdjustment>&)>
      breakages[] = {
          [](auto& d, auto&) { d.row = -2; },
          [](auto& d, auto&) { d.row = 2; },
          [](auto& d, auto&) { d.temperature = -0.1; },
          [](auto& d, auto&) { d.temperature = NAN; },
          [](auto& d, auto&) { d.temperature = 1e31; },
          [](auto& d, auto&) { d.top_p = 0.0; },
          [](auto& d, auto&) { d.top_p = 1.1; },
          [](auto& d, auto&) { d.min_p = -0.1; },
          [](auto& d, auto&) { d.min_p = 1.1; },
          [](auto& d, auto&) { d.repetition_penalty = 0.0; },
          [](auto& d, auto&) { d.presence_penalty = NAN; },
          [](auto& d, auto&) { d.frequency_penalty = kInf; },
          [](auto& d, auto&) { d.uniform = 1.0; },
          [](auto& d, auto&) { d.uniform = -0x1p-53; },
          [](auto& d, auto&) { d.first_adjustment = 1; },
          [](auto& d, auto&) { d.num_adjustments = -1; },
          [](auto&, auto& a) { a[1].token = 3; },
          [](auto&, auto& a) { a[1].token = 8; },
          [](auto&, auto& a) { a[1].bias = NAN; },
      };
  SampleCase good(DType::kFloat32, 2, 8);
  TokenDraw draw;
  draw.row = 1;
  good.Adjust(&draw, {{3, 1.0f, 0, 0}, {4, 1.0f, 0, 0}});
  good.draws.push_back(draw);
  ASSERT_TRUE(CheckDraws(good.Args()).ok());
  for (size_t i = 0; i < std::size(breakages); ++i) {
    SampleCase bad = good;
    breakages[i](bad.draws[0], bad.adjustments);
    EXPECT_EQ(CheckDraws(bad.Args()).code(), absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
    bad.draws[0].row = -1;
    EXPECT_TRUE(CheckDraws(bad.Args()).ok()) << "idle draws are not read";
  }
}

}  // namespace
}  // namespace seer
