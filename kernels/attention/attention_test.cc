#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "kernels/attention/cpu/attention_cpu.h"
#include "kernels/attention/cpu/instruction_set.h"
#include "tests/testing/kernels/cases/attention_case.h"
#include "tests/testing/kernels/oracles/plain_attention.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_attention.h"
#endif

namespace seer {
namespace {

constexpr uint64_t kSeed = 31;
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<uint64_t> Seeds(size_t n, uint64_t first = kSeed) {
  std::vector<uint64_t> seeds(n);
  for (size_t i = 0; i < n; ++i) seeds[i] = first + i;
  return seeds;
}

AttentionResult Reference(const AttentionCase& c) {
  return c.Run([](const AttentionArgs& args) {
    ASSERT_TRUE(Attend(Backend::kReference, args, {}).ok());
  });
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Rows [begin, begin + n) of a result.
AttentionResult Rows(const AttentionCase& c, const AttentionResult& result,
                     int32_t begin, int32_t n) {
  const int64_t heads = c.shape().num_query_heads();
  const int64_t width = heads * c.shape().head_dim;
  AttentionResult rows;
  rows.out.assign(result.out.begin() + begin * width,
                  result.out.begin() + (begin + n) * width);
  rows.log_sum_exp.assign(result.log_sum_exp.begin() + begin * heads,
                          result.log_sum_exp.begin() + (begin + n) * heads);
  return rows;
}

void ExpectSame(const AttentionResult& a, const AttentionResult& b) {
  EXPECT_TRUE(SameBits(a.out, b.out));
  EXPECT_TRUE(SameBits(a.log_sum_exp, b.log_sum_exp));
}

// A step, and what the error budget of its results is computed from.
struct Expected {
  explicit Expected(AttentionCase c)
      : step(std::move(c)),
        plain(step.Run(AttendPlainly)),
        reference(Reference(step.Widened())) {}

  AttentionCase step;
  AttentionResult plain, reference;
};

// The cases that every target is compared on, made once.
using Cases = std::vector<Expected>;

const Cases& RandomBatches(DType dtype) {
  static std::map<DType, Cases>& made = *new std::map<DType, Cases>;
  Cases& cases = made[dtype];
  if (!cases.empty()) return cases;
  const int32_t head_dims[] = {64, 128, 80, 32, 50, 256, 16};
  std::mt19937_64 random(kSeed);
  for (int32_t group = 1; group <= 16; ++group) {
    AttentionShape shape;
    shape.group = group;
    shape.num_kv_heads = group <= 4 ? 1 + random() % 3 : 1;
    shape.head_dim = head_dims[group % 7];
    std::vector<SliceSpec> specs;
    std::vector<SetPattern> patterns;
    for (int i = 0; i < 4; ++i) {
      specs.push_back(RandomSlice(320, random));
      patterns.push_back(static_cast<SetPattern>(random() % 4));
    }
    if (random() % 4 == 0) patterns.clear();
    cases.emplace_back(
        AttentionCase(shape, dtype, specs, patterns, Seeds(4, random())));
  }
  return cases;
}

const Cases& BlockBorders(DType dtype) {
  static std::map<DType, Cases>& made = *new std::map<DType, Cases>;
  Cases& cases = made[dtype];
  if (!cases.empty()) return cases;
  for (const int32_t len : {1, 2, 63, 64, 65, 127, 128, 129}) {
    cases.emplace_back(AttentionCase(
        {2, 2, 64}, dtype,
        {WholePrompt(len), WholePrompt(len), GeneratedRows(len, len, 1)},
        {SetPattern::kAll, SetPattern::kSparse, SetPattern::kAll}, Seeds(3)));
  }
  return cases;
}

const Cases& LongSequences(DType dtype) {
  static std::map<DType, Cases>& made = *new std::map<DType, Cases>;
  Cases& cases = made[dtype];
  if (!cases.empty()) return cases;
  for (const int32_t head_dim : {64, 128}) {
    cases.emplace_back(AttentionCase(
        {1, 3, head_dim}, dtype,
        {WholePrompt(1000), PromptChunk(4097, 4032, 4097),
         PromptChunk(8191, 8128, 8191), PromptChunk(8191, 8064, 8191),
         GeneratedRows(9, 4096, 1), GeneratedRows(8000, 8180, 11)},
        {SetPattern::kSparse, SetPattern::kSparse, SetPattern::kAll,
         SetPattern::kSparse, SetPattern::kAll, SetPattern::kAll},
        Seeds(6)));
  }
  return cases;
}

// Of the ends of prompts of 32768 and 131072 tokens: tiles that are split and
// whole ones, sparse; and few rows that read everything.
const Cases& VeryLongSequences(DType dtype) {
  static std::map<DType, Cases>& made = *new std::map<DType, Cases>;
  Cases& cases = made[dtype];
  if (!cases.empty()) return cases;
  constexpr int32_t kShort = 32768, kLong = 131072;
  const std::pair<SliceSpec, SetPattern> slices[] = {
      {PromptChunk(kShort, kShort - 19 * 64, kShort - 18 * 64),
       SetPattern::kSparse},
      {PromptChunk(kShort - 61, kShort - 64, kShort - 61), SetPattern::kAll},
      {PromptChunk(kLong, kLong - 4 * 64, kLong - 3 * 64), SetPattern::kSparse},
      {PromptChunk(kLong - 61, kLong - 64, kLong - 61), SetPattern::kAll},
      {GeneratedRows(kShort, kLong - 1, 1), SetPattern::kAll}};
  // One after the other: each sequence's pages are large.
  for (const auto& [slice, pattern] : slices) {
    cases.emplace_back(
        AttentionCase({1, 1, 64}, dtype, {slice}, {pattern}, Seeds(1)));
  }
  return cases;
}

// A backend, or a part of one, for one dtype.
struct AttentionTarget {
  std::string name;
  DType dtype;
  std::function<std::string()> missing;  // why it cannot run here; empty: can
  std::function<void(const AttentionArgs&, Executor*)> attend;
  bool is_gpu = false;
};

std::string DTypeName(DType dtype) {
  return dtype == DType::kFloat32 ? "fp32" : "bf16";
}

// The CPU backend with each of its instruction sets that has a kernel.
void AppendCpuTargets(DType dtype, std::vector<AttentionTarget>* targets) {
  for (const InstructionSet set : kInstructionSets) {
    if (!HasKernel(set, dtype)) continue;
    AttentionTarget target;
    target.name = std::string(Name(set)) + "_on_" + DTypeName(dtype);
    target.dtype = dtype;
    target.missing = [set] {
      return IsSupported(set) ? std::string()
                              : std::string("this machine has no ") + Name(set);
    };
    target.attend = [set](const AttentionArgs& args, Executor* executor) {
      DeviceStream stream;
      stream.executor = executor;
      AttendOnCpu(args, set, stream);
    };
    targets->push_back(target);
  }
}

#ifdef SEER_CUDA
void AppendCudaTarget(DType dtype, std::vector<AttentionTarget>* targets) {
  targets->push_back({"cuda_on_" + DTypeName(dtype), dtype, MissingCudaDevice,
                      [](const AttentionArgs& args, Executor*) {
                        const absl::Status status = AttendOnDevice(args);
                        EXPECT_TRUE(status.ok()) << status;
                      },
                      /*is_gpu=*/true});
}
#else
void AppendCudaTarget(DType, std::vector<AttentionTarget>*) {}
#endif

std::vector<AttentionTarget> AttentionTargets() {
  std::vector<AttentionTarget> targets;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    AppendCpuTargets(dtype, &targets);
    AppendCudaTarget(dtype, &targets);
  }
  return targets;
}

class AttentionTargetTest : public testing::TestWithParam<AttentionTarget> {
 protected:
  void SetUp() override {
    const std::string missing = GetParam().missing();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  DType dtype() const { return GetParam().dtype; }

  void AttendAlone(const AttentionArgs& args) const {
    GetParam().attend(args, nullptr);
  }
  AttentionResult Run(const AttentionCase& c, int num_threads = 2) const {
    ThreadPool threads(num_threads);
    return c.Run(
        [&](const AttentionArgs& args) { GetParam().attend(args, &threads); });
  }

  void ExpectMatchesReference(const Expected& e) const {
    EXPECT_TRUE(WithinAttentionBudget(e.step.Args(nullptr, nullptr),
                                      Run(e.step), e.plain, e.reference));
  }
};

TEST_P(AttentionTargetTest, MatchesReferenceOnRandomBatches) {
  for (const Expected& e : RandomBatches(dtype())) {
    SCOPED_TRACE("group " + std::to_string(e.step.shape().group));
    ExpectMatchesReference(e);
  }
}

TEST_P(AttentionTargetTest, MatchesReferenceAtBlockBorders) {
  for (const Expected& e : BlockBorders(dtype())) {
    SCOPED_TRACE("rows " + std::to_string(e.step.batch().num_rows));
    ExpectMatchesReference(e);
  }
}

TEST_P(AttentionTargetTest, MatchesReferenceOnLongSequences) {
  for (const Expected& e : LongSequences(dtype())) {
    SCOPED_TRACE("head_dim " + std::to_string(e.step.shape().head_dim));
    ExpectMatchesReference(e);
  }
}

TEST_P(AttentionTargetTest, MatchesReferenceOnVeryLongSequences) {
  for (const Expected& e : VeryLongSequences(dtype())) {
    const SequenceSlice& slice = e.step.batch().sequences[0];
    SCOPED_TRACE("row " + std::to_string(slice.position_begin));
    ExpectMatchesReference(e);
  }
}

// With the test before: all of its rows are right, at every place in a step.
TEST_P(AttentionTargetTest, VeryLongChunksEqualTheWhole) {
  if (!GetParam().is_gpu) GTEST_SKIP() << "takes the processor too long";
  for (const int32_t len : {8191, 32768, 131072}) {
    // fp32 has no fast kernel.
    if (len > 32768 && dtype() == DType::kFloat32) continue;
    const AttentionShape shape = {1, 2, 128};
    const std::vector<SetPattern> sparse = {SetPattern::kSparse};
    const AttentionCase whole(shape, dtype(), {WholePrompt(len)}, sparse,
                              Seeds(1));
    const AttentionResult expected = Run(whole);
    const int32_t num_tiles = static_cast<int32_t>(NumBlocks(len));
    for (const int32_t tile : {0, 1, 63, 64, num_tiles / 2, num_tiles - 17,
                               num_tiles - 5, num_tiles - 2, num_tiles - 1}) {
      const int32_t begin = tile * kBlockSize;
      const int32_t end = std::min(len, begin + kBlockSize);
      const AttentionCase chunk(shape, dtype(), {PromptChunk(len, begin, end)},
                                sparse, Seeds(1));
      SCOPED_TRACE(testing::Message() << "tile " << tile << " of " << len);
      ExpectSame(Run(chunk), Rows(whole, expected, begin, end - begin));
    }
  }
}

TEST_P(AttentionTargetTest, ChunkedEqualsWhole) {
  const AttentionShape shape = {2, 3, 64};
  const std::vector<SetPattern> sparse = {SetPattern::kSparse};
  const AttentionCase whole(shape, dtype(), {WholePrompt(1000)}, sparse,
                            Seeds(1));
  const AttentionResult expected = Run(whole);
  for (int32_t begin = 0; begin < 1000;) {
    const int32_t end = std::min(1000, begin + 64 * (1 + begin / 64 % 5));
    const AttentionCase chunk(shape, dtype(), {PromptChunk(1000, begin, end)},
                              sparse, Seeds(1));
    ExpectSame(Run(chunk), Rows(whole, expected, begin, end - begin));
    begin = end;
  }
}

TEST_P(AttentionTargetTest, NeighboursChangeNothing) {
  const AttentionShape shape = {2, 3, 64};
  const std::vector<SliceSpec> specs = {
      WholePrompt(200), GeneratedRows(5, 1500, 1), PromptChunk(777, 320, 512),
      GeneratedRows(60, 61, 70), WholePrompt(1)};
  const std::vector<SetPattern> patterns = {
      SetPattern::kSparse, SetPattern::kAll, SetPattern::kNoDiagonal,
      SetPattern::kAll, SetPattern::kAll};
  const std::vector<uint64_t> seeds = Seeds(specs.size());
  const AttentionCase together(shape, dtype(), specs, patterns, seeds);
  const AttentionResult result = Run(together);
  int32_t row = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    const AttentionCase alone(shape, dtype(), {specs[i]}, {patterns[i]},
                              {seeds[i]});
    ExpectSame(Run(alone), Rows(together, result, row, specs[i].num_rows));
    row += specs[i].num_rows;
  }
}

// As when a preempted request recomputes the rows it had generated one by one.
TEST_P(AttentionTargetTest, GeneratedRowsAreTheSameAloneAndTogether) {
  for (const int32_t head_dim : {64, 80}) {
    const AttentionShape shape = {1, 9, head_dim};
    const AttentionCase together(shape, dtype(), {GeneratedRows(40, 1270, 60)},
                                 {}, Seeds(1));
    const AttentionResult result = Run(together);
    for (const int32_t i : {0, 8, 9, 10, 31, 59}) {
      const AttentionCase alone(shape, dtype(),
                                {GeneratedRows(40, 1270 + i, 1)}, {}, Seeds(1));
      ExpectSame(Run(alone), Rows(together, result, i, 1));
    }
  }
}

TEST_P(AttentionTargetTest, ThreadsChangeNothing) {
  const AttentionCase c(
      {1, 4, 64}, dtype(),
      {WholePrompt(500), GeneratedRows(5, 3000, 1), GeneratedRows(5, 64, 20)},
      {SetPattern::kSparse, SetPattern::kAll, SetPattern::kAll}, Seeds(3));
  const AttentionResult one = Run(c, 1);
  ExpectSame(Run(c, 3), one);
  ExpectSame(c.Run([&](const AttentionArgs& args) { AttendAlone(args); }), one);
}

TEST_P(AttentionTargetTest, FullSetsEqualDense) {
  const std::vector<SliceSpec> specs = {WholePrompt(500),
                                        PromptChunk(700, 256, 384)};
  const AttentionShape shape = {1, 5, 128};
  const AttentionCase full(shape, dtype(), specs,
                           {SetPattern::kAll, SetPattern::kAll}, Seeds(2));
  const AttentionCase dense(shape, dtype(), specs, {}, Seeds(2));
  ExpectSame(Run(full), Run(dense));
}

TEST_P(AttentionTargetTest, EmptySetsGiveZero) {
  const AttentionCase c({1, 2, 64}, dtype(), {WholePrompt(130)},
                        {SetPattern::kEmpty}, Seeds(1));
  const AttentionResult result = Run(c);
  EXPECT_EQ(result.out, std::vector<float>(130 * 2 * 64, 0.0f));
  EXPECT_EQ(result.log_sum_exp, std::vector<float>(130 * 2, -kInf));
}

TEST_P(AttentionTargetTest, LogSumExpIsOptional) {
  const AttentionCase c({1, 2, 64}, dtype(),
                        {WholePrompt(130), GeneratedRows(5, 2000, 1)}, {},
                        Seeds(2));
  const AttentionResult without = c.Run([&](AttentionArgs args) {
    args.log_sum_exp = nullptr;
    AttendAlone(args);
  });
  EXPECT_TRUE(SameBits(without.out, Run(c).out));
}

// Scores far apart and far from 0, as sharp heads have them.
TEST_P(AttentionTargetTest, LargeScoresStayFinite) {
  const AttentionCase c({1, 1, 64}, dtype(), {WholePrompt(300)}, {}, Seeds(1));
  const auto sharpen = [](AttentionArgs args) {
    args.scale = 40.0f;
    return args;
  };
  const AttentionCase wide = c.Widened();
  EXPECT_TRUE(WithinAttentionBudget(
      c.Args(nullptr, nullptr),
      c.Run([&](const AttentionArgs& args) { AttendAlone(sharpen(args)); }),
      c.Run([&](const AttentionArgs& args) { AttendPlainly(sharpen(args)); }),
      wide.Run([&](const AttentionArgs& args) {
        ASSERT_TRUE(Attend(Backend::kReference, sharpen(args), {}).ok());
      })));
}

INSTANTIATE_TEST_SUITE_P(
    All, AttentionTargetTest, testing::ValuesIn(AttentionTargets()),
    [](const testing::TestParamInfo<AttentionTarget>& target) {
      return target.param.name;
    });

TEST(AttentionTest, CpuBackendUsesTheBestInstructionSet) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const AttentionCase c({1, 2, 64}, dtype, {WholePrompt(130)}, {}, Seeds(1));
    const AttentionResult backend = c.Run([](const AttentionArgs& args) {
      ASSERT_TRUE(Attend(Backend::kCpu, args, {}).ok());
    });
    ExpectSame(backend, c.Run([&](const AttentionArgs& args) {
      AttendOnCpu(args, BestInstructionSet(dtype), {});
    }));
  }
}

TEST(AttentionTest, ReferenceOfOneAndTwoKeys) {
  const AttentionCase c({1, 1, 2}, DType::kFloat32, {WholePrompt(2)}, {},
                        Seeds(1));
  const AttentionArgs args = c.Args(nullptr, nullptr);
  const float* q = static_cast<const float*>(args.queries);
  const int64_t page = args.batch.sequences[0].page_table[0];
  const float* k =
      static_cast<const float*>(args.kv.pages) + args.kv.KeyOffset(page, 0);
  const float* v =
      static_cast<const float*>(args.kv.pages) + args.kv.ValueOffset(page, 0);
  const AttentionResult result = Reference(c);
  EXPECT_EQ(result.out[0], v[0]);
  EXPECT_EQ(result.out[1], v[1]);
  const double s0 = (q[2] * k[0] + q[3] * k[1]) / std::sqrt(2.0);
  const double s1 = (q[2] * k[2] + q[3] * k[3]) / std::sqrt(2.0);
  const double p0 = 1.0 / (1.0 + std::exp(s1 - s0));
  EXPECT_FLOAT_EQ(result.out[2], p0 * v[0] + (1.0 - p0) * v[2]);
  EXPECT_FLOAT_EQ(result.out[3], p0 * v[1] + (1.0 - p0) * v[3]);
  EXPECT_FLOAT_EQ(result.log_sum_exp[1], std::log(std::exp(s0) + std::exp(s1)));
}

}  // namespace
}  // namespace seer
