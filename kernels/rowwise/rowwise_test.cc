#include "kernels/rowwise/rowwise.h"

#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/backends.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/typed_array.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_rowwise.h"
#endif

namespace seer {
namespace {

constexpr float kEpsilon = 1e-5f;
constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16};

// Any backend, on arguments in host memory.
#ifdef SEER_CUDA
absl::Status RunOn(Backend backend, const RmsNormArgs& args, bool misaligned) {
  return backend == Backend::kCuda ? RmsNormOnDevice(args, misaligned)
                                   : RmsNorm(backend, args, {});
}
absl::Status RunOn(Backend backend, const SiluMulArgs& args, bool misaligned) {
  return backend == Backend::kCuda ? SiluMulOnDevice(args, misaligned)
                                   : SiluMul(backend, args, {});
}
absl::Status RunOn(Backend backend, const EmbedTokensArgs& args,
                   bool misaligned) {
  return backend == Backend::kCuda ? EmbedTokensOnDevice(args, misaligned)
                                   : EmbedTokens(backend, args, {});
}
#else
absl::Status RunOn(Backend backend, const RmsNormArgs& args, bool) {
  return RmsNorm(backend, args, {});
}
absl::Status RunOn(Backend backend, const SiluMulArgs& args, bool) {
  return SiluMul(backend, args, {});
}
absl::Status RunOn(Backend backend, const EmbedTokensArgs& args, bool) {
  return EmbedTokens(backend, args, {});
}
#endif

std::vector<Backend> BackendsWithRowwise() {
  std::vector<Backend> backends;
  for (const Backend backend : BuiltBackends()) {
    if (backend != Backend::kCpu) backends.push_back(backend);
  }
  return backends;
}

// Values that `dtype` holds.
std::vector<float> RandomValues(DType dtype, int64_t size, float scale,
                                std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(size);
  for (float& x : values) x = RoundTo(dtype, normal(random));
  return values;
}

struct Shape {
  int32_t num_rows = 0;
  int32_t width = 0;
  bool misaligned = false;
};

// Whole warps and parts of them; with and without 16-byte accesses; one and
// several of them a thread; model widths.
constexpr Shape kShapes[] = {{1, 1},    {3, 7},         {5, 8},   {2, 33},
                             {37, 64},  {4, 64, true},  {9, 576}, {3, 1000},
                             {3, 2048}, {2, 2047},      {6, 520}, {7, 4096},
                             {2, 8192}, {3, 2048, true}};

struct NormCase {
  NormCase(DType dtype, const Shape& shape, std::mt19937_64& random)
      : x(RandomValues(dtype, int64_t{shape.num_rows} * shape.width, 3.0f,
                       random)),
        addend(
            RandomValues(dtype, static_cast<int64_t>(x.size()), 1.0f, random)),
        weight(RandomValues(dtype, shape.width, 1.0f, random)),
        shape(shape) {}

  std::vector<float> x, addend, weight;
  Shape shape;
};

struct NormResult {
  std::vector<float> x, out;
};

NormResult RunNorm(Backend backend, DType dtype, const NormCase& c,
                   bool has_addend = true, bool in_place = false) {
  TypedArray x(dtype, c.x), addend(dtype, c.addend), weight(dtype, c.weight);
  TypedArray out(dtype, x.size(), NAN);
  RmsNormArgs args;
  args.dtype = dtype;
  args.num_rows = c.shape.num_rows;
  args.width = c.shape.width;
  args.x = x.data();
  if (has_addend) args.addend = addend.data();
  args.weight = weight.data();
  args.epsilon = kEpsilon;
  args.out = in_place ? addend.data() : out.data();
  const absl::Status status = RunOn(backend, args, c.shape.misaligned);
  EXPECT_TRUE(status.ok()) << status;
  return {x.ToFloats(), (in_place ? addend : out).ToFloats()};
}

// In float, every result rounded to dtype.
NormResult PlainNorm(DType dtype, const NormCase& c) {
  NormResult result{c.x, c.x};
  for (int32_t row = 0; row < c.shape.num_rows; ++row) {
    float sum = 0.0f;
    const int64_t begin = int64_t{row} * c.shape.width;
    for (int32_t i = 0; i < c.shape.width; ++i) {
      float& x = result.x[begin + i];
      x = RoundTo(dtype, x + c.addend[begin + i]);
      sum += x * x;
    }
    const float scale =
        1.0f / std::sqrt(sum / static_cast<float>(c.shape.width) + kEpsilon);
    for (int32_t i = 0; i < c.shape.width; ++i) {
      const float normed = RoundTo(dtype, result.x[begin + i] * scale);
      result.out[begin + i] = RoundTo(dtype, normed * c.weight[i]);
    }
  }
  return result;
}

class RowwiseTest : public BackendTest {};

// Results of all shapes, which have one scale and share one budget.
struct Compared {
  void Append(const std::vector<float>& got_here,
              const std::vector<float>& plain_here,
              const std::vector<float>& reference_here) {
    got.insert(got.end(), got_here.begin(), got_here.end());
    plain.insert(plain.end(), plain_here.begin(), plain_here.end());
    reference.insert(reference.end(), reference_here.begin(),
                     reference_here.end());
  }

  std::vector<float> got, plain, reference;
};

TEST_P(RowwiseTest, RmsNormMatchesTheReference) {
  std::mt19937_64 random(21);
  for (const DType dtype : kDTypes) {
    Compared all;
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(testing::Message() << shape.num_rows << " x " << shape.width
                                      << ", " << SizeOf(dtype) << " bytes");
      const NormCase c(dtype, shape, random);
      const NormResult got = RunNorm(GetParam(), dtype, c);
      for (size_t i = 0; i < c.x.size(); ++i) {
        ASSERT_EQ(got.x[i], RoundTo(dtype, c.x[i] + c.addend[i])) << i;
      }
      all.Append(got.out, PlainNorm(dtype, c).out,
                 RunNorm(Backend::kReference, DType::kFloat32, c).out);
      // The rounded sum is all that the norm sees.
      NormCase summed = c;
      summed.x = got.x;
      EXPECT_EQ(RunNorm(GetParam(), dtype, summed, /*has_addend=*/false).out,
                got.out);
      EXPECT_EQ(RunNorm(GetParam(), dtype, c, true, /*in_place=*/true).out,
                got.out);
    }
    EXPECT_TRUE(WithinErrorBudget(all.got, all.plain, all.reference, dtype));
  }
}

TEST_P(RowwiseTest, RmsNormOfARowIsThatRowsAlone) {
  std::mt19937_64 random(22);
  for (const DType dtype : kDTypes) {
    const NormCase together(dtype, {5, 576}, random);
    const NormResult want = RunNorm(GetParam(), dtype, together);
    for (int32_t row = 0; row < 5; ++row) {
      NormCase alone = together;
      alone.shape.num_rows = 1;
      const auto part = [row](const std::vector<float>& rows) {
        return std::vector<float>(rows.begin() + row * 576,
                                  rows.begin() + (row + 1) * 576);
      };
      alone.x = part(together.x);
      alone.addend = part(together.addend);
      EXPECT_EQ(RunNorm(GetParam(), dtype, alone).out, part(want.out));
    }
  }
}

std::vector<float> RunSilu(Backend backend, DType dtype, const Shape& shape,
                           const std::vector<float>& gate_up) {
  const TypedArray in(dtype, gate_up);
  TypedArray out(dtype, in.size() / 2, NAN);
  SiluMulArgs args;
  args.dtype = dtype;
  args.num_rows = shape.num_rows;
  args.width = shape.width;
  args.gate_up = in.data();
  args.out = out.data();
  const absl::Status status = RunOn(backend, args, shape.misaligned);
  EXPECT_TRUE(status.ok()) << status;
  return out.ToFloats();
}

std::vector<float> PlainSilu(DType dtype, const Shape& shape,
                             const std::vector<float>& gate_up) {
  std::vector<float> out;
  for (int32_t row = 0; row < shape.num_rows; ++row) {
    const float* gate = &gate_up[int64_t{row} * 2 * shape.width];
    for (int32_t i = 0; i < shape.width; ++i) {
      const float active =
          RoundTo(dtype, gate[i] / (1.0f + std::exp(-gate[i])));
      out.push_back(RoundTo(dtype, active * gate[shape.width + i]));
    }
  }
  return out;
}

TEST_P(RowwiseTest, SiluMulMatchesTheReference) {
  std::mt19937_64 random(23);
  for (const DType dtype : kDTypes) {
    Compared all;
    for (const Shape& shape : kShapes) {
      const std::vector<float> in = RandomValues(
          dtype, int64_t{2} * shape.num_rows * shape.width, 4.0f, random);
      all.Append(RunSilu(GetParam(), dtype, shape, in),
                 PlainSilu(dtype, shape, in),
                 RunSilu(Backend::kReference, DType::kFloat32, shape, in));
    }
    EXPECT_TRUE(WithinErrorBudget(all.got, all.plain, all.reference, dtype));
  }
}

TEST_P(RowwiseTest, SiluOfLargeNumbersStaysFinite) {
  const std::vector<float> in = {100.0f, -100.0f, 1e30f, -1e30f,
                                 2.0f,   2.0f,    2.0f,  2.0f};
  for (const DType dtype : kDTypes) {
    const std::vector<float> out = RunSilu(GetParam(), dtype, {1, 4}, in);
    EXPECT_EQ(out[0], RoundTo(dtype, 200.0f));
    EXPECT_NEAR(out[1], 0.0f, 1e-30f);
    EXPECT_EQ(out[2], 2.0f * RoundTo(dtype, 1e30f));
    EXPECT_EQ(out[3], 0.0f);
  }
}

TEST_P(RowwiseTest, EmbedTokensCopiesRows) {
  std::mt19937_64 random(24);
  constexpr int32_t kTableRows = 50;
  for (const DType dtype : kDTypes) {
    for (const Shape& shape : kShapes) {
      const TypedArray table(
          dtype,
          RandomValues(dtype, int64_t{kTableRows} * shape.width, 1.0f, random));
      // The last three tokens are drawn ones: the table's last, none, any.
      std::vector<int32_t> drawn = {7, kTableRows - 1, -1};
      std::vector<int32_t> tokens(shape.num_rows);
      std::vector<int32_t> expected(shape.num_rows);
      for (int32_t i = 0; i < shape.num_rows; ++i) {
        expected[i] = tokens[i] = static_cast<int32_t>(random() % kTableRows);
      }
      expected[0] = tokens[0] = kTableRows - 1;
      for (int32_t i = 1; i <= std::min(shape.num_rows - 1, 3); ++i) {
        tokens[shape.num_rows - i] = -i;
        expected[shape.num_rows - i] = std::max(0, drawn[i - 1]);
      }
      TypedArray out(dtype, int64_t{shape.num_rows} * shape.width, NAN);
      EmbedTokensArgs args;
      args.dtype = dtype;
      args.num_rows = shape.num_rows;
      args.width = shape.width;
      args.table = table.data();
      args.num_table_rows = kTableRows;
      args.tokens = tokens.data();
      args.drawn = drawn.data();
      args.num_drawn = static_cast<int32_t>(drawn.size());
      args.out = out.data();
      ASSERT_TRUE(RunOn(GetParam(), args, shape.misaligned).ok());
      for (int64_t i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out.Get(i),
                  table.Get(expected[i / shape.width] * int64_t{shape.width} +
                            i % shape.width))
            << shape.num_rows << " x " << shape.width << " at " << i;
      }
    }
  }
}

TEST_P(RowwiseTest, NoRowsAreNothingToDo) {
  RmsNormArgs norm;
  norm.width = 8;
  EXPECT_TRUE(RmsNorm(GetParam(), norm, {}).ok());
  SiluMulArgs silu;
  silu.width = 8;
  EXPECT_TRUE(SiluMul(GetParam(), silu, {}).ok());
  EmbedTokensArgs embed;
  embed.width = 8;
  EXPECT_TRUE(EmbedTokens(GetParam(), embed, {}).ok());
}

INSTANTIATE_TEST_SUITE_P(Backends, RowwiseTest,
                         testing::ValuesIn(BackendsWithRowwise()), BackendName);

TEST(RowwiseReferenceTest, NormsARowByHand) {
  std::mt19937_64 random(1);
  NormCase c(DType::kFloat32, {1, 2}, random);
  c.x = {1.0f, 4.0f};
  c.addend = {2.0f, 0.0f};
  c.weight = {1.0f, -2.0f};
  const NormResult result = RunNorm(Backend::kReference, DType::kFloat32, c);
  EXPECT_EQ(result.x, (std::vector<float>{3.0f, 4.0f}));
  const double norm = std::sqrt(12.5 + double{kEpsilon});
  EXPECT_FLOAT_EQ(result.out[0], 3.0 / norm);
  EXPECT_FLOAT_EQ(result.out[1], -8.0 / norm);
}

TEST(RowwiseChecksTest, TheCpuHasNone) {
  std::vector<float> row(4);
  RmsNormArgs args;
  args.dtype = DType::kFloat32;
  args.num_rows = 1;
  args.width = 4;
  args.x = args.out = row.data();
  args.weight = row.data();
  EXPECT_EQ(RmsNorm(Backend::kCpu, args, {}).code(),
            absl::StatusCode::kUnimplemented);
}

TEST(RowwiseChecksTest, TheGpuNamesTheWidthsItHasNot) {
  if (BuiltBackends().back() != Backend::kCuda) {
    GTEST_SKIP() << "built without CUDA";
  }
  std::vector<float> row(4);  // not looked at
  RmsNormArgs args;
  args.num_rows = 1;
  args.width = 16392;
  args.x = args.out = row.data();
  args.weight = row.data();
  EXPECT_EQ(RmsNorm(Backend::kCuda, args, {}).code(),
            absl::StatusCode::kUnimplemented);
}

TEST(RowwiseChecksTest, RefusesWhatItCannotRun) {
  std::vector<float> row(8);
  std::vector<int32_t> tokens = {1};
  RmsNormArgs norm;
  norm.dtype = DType::kFloat32;
  norm.num_rows = 1;
  norm.width = 4;
  norm.x = norm.out = row.data();
  norm.weight = row.data();
  ASSERT_TRUE(RmsNorm(Backend::kReference, norm, {}).ok());
  const std::function<void(RmsNormArgs&)> norm_breakages[] = {
      [](RmsNormArgs& a) { a.num_rows = -1; },
      [](RmsNormArgs& a) { a.width = 0; },
      [](RmsNormArgs& a) { a.x = nullptr; },
      [](RmsNormArgs& a) { a.weight = nullptr; },
      [](RmsNormArgs& a) { a.out = nullptr; },
      [](RmsNormArgs& a) { a.epsilon = -1.0f; },
      [](RmsNormArgs& a) { a.epsilon = NAN; },
  };
  for (size_t i = 0; i < std::size(norm_breakages); ++i) {
    RmsNormArgs bad = norm;
    norm_breakages[i](bad);
    EXPECT_EQ(RmsNorm(Backend::kReference, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
  SiluMulArgs silu;
  silu.dtype = DType::kFloat32;
  silu.num_rows = 1;
  silu.width = 4;
  silu.out = row.data();
  EXPECT_EQ(SiluMul(Backend::kReference, silu, {}).code(),
            absl::StatusCode::kInvalidArgument);
  EmbedTokensArgs embed;
  embed.dtype = DType::kFloat32;
  embed.num_rows = 1;
  embed.width = 4;
  embed.table = embed.out = row.data();
  embed.num_table_rows = 1;
  embed.tokens = tokens.data();
  EXPECT_EQ(EmbedTokens(Backend::kReference, embed, {}).code(),
            absl::StatusCode::kInvalidArgument);
  tokens[0] = -1;  // of none
  EXPECT_EQ(EmbedTokens(Backend::kReference, embed, {}).code(),
            absl::StatusCode::kInvalidArgument);
  embed.num_drawn = 1;  // that are missing
  EXPECT_EQ(EmbedTokens(Backend::kReference, embed, {}).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
