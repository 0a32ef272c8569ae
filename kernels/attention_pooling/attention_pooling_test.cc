#include "kernels/attention_pooling/attention_pooling.h"

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
#include "kernels/attention/cpu/instruction_set.h"
#include "kernels/attention_pooling/cpu/attention_pooling_cpu.h"
#include "tests/testing/kernels/cases/attention_case.h"
#include "tests/testing/kernels/cases/pooling_case.h"
#include "tests/testing/kernels/oracles/plain_attention.h"
#include "tests/testing/kernels/oracles/plain_pooling.h"
#ifdef SEER_CUDA
#include "tests/testing/kernels/cuda/device_array.h"
#endif

namespace seer {
namespace {

constexpr uint64_t kSeed = 47;

std::vector<uint64_t> Seeds(size_t n, uint64_t first = kSeed) {
  std::vector<uint64_t> seeds(n);
  for (size_t i = 0; i < n; ++i) seeds[i] = first + i;
  return seeds;
}

// Compares bits: what nobody wrote is the same NaN.
void ExpectSame(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}
void ExpectSame(const PoolingResult& a, const PoolingResult& b) {
  ExpectSame(a.attention.out, b.attention.out);
  ExpectSame(a.attention.log_sum_exp, b.attention.log_sum_exp);
  ExpectSame(a.max_target, b.max_target);
  ExpectSame(a.mass_target, b.mass_target);
}

// The blocks of tile `from` of one result and of tile `to` of another are the
// same.
void ExpectSameTile(const AttentionCase& from_case, const PoolingResult& from,
                    int32_t from_tile, const AttentionCase& to_case,
                    const PoolingResult& to, int32_t to_tile) {
  const int32_t num_heads = from_case.shape().num_query_heads();
  const int32_t visible = VisibleBlocks(from_case.batch().tiles[from_tile]);
  const auto blocks = [&](const AttentionCase& c, int32_t tile, int32_t head,
                          const std::vector<float>& targets) {
    const int64_t row_len =
        targets.size() / (int64_t{c.batch().num_tiles} * num_heads);
    const auto begin =
        targets.begin() + (int64_t{tile} * num_heads + head) * row_len;
    return std::vector<float>(begin, begin + visible);
  };
  for (int32_t h = 0; h < num_heads; ++h) {
    EXPECT_EQ(blocks(from_case, from_tile, h, from.max_target),
              blocks(to_case, to_tile, h, to.max_target));
    EXPECT_EQ(blocks(from_case, from_tile, h, from.mass_target),
              blocks(to_case, to_tile, h, to.mass_target));
  }
}

void PoolWithReference(const AttentionPoolingArgs& args) {
  ASSERT_TRUE(PoolAttention(Backend::kReference, args, {}).ok());
}

// What PoolPlainly and AttendPlainly make of a case.
void PoolAndAttendPlainly(const AttentionPoolingArgs& args) {
  PoolPlainly(args);
  AttendPlainly(args.attention);
}

// A step, and what the error budget of its results is computed from.
struct Expected {
  explicit Expected(AttentionCase c)
      : step(std::move(c)),
        plain(RunPooling(step, PoolAndAttendPlainly)),
        reference(RunPooling(step.Widened(), PoolWithReference)) {}

  AttentionCase step;
  PoolingResult plain, reference;
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
    while (specs.size() < 3) {
      const SliceSpec spec = RandomSlice(320, random);
      if (spec.position_begin < spec.prompt_len) specs.push_back(spec);
    }
    cases.emplace_back(
        AttentionCase(shape, dtype, specs, {}, Seeds(3, random())));
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
        {WholePrompt(len), WholePrompt(len), WholePrompt(len)}, {}, Seeds(3)));
  }
  return cases;
}

const Cases& LongPrompts(DType dtype) {
  static std::map<DType, Cases>& made = *new std::map<DType, Cases>;
  Cases& cases = made[dtype];
  if (!cases.empty()) return cases;
  for (const int32_t head_dim : {64, 128}) {
    // One after the other: each prompt's pages are large.
    for (const SliceSpec& slice :
         {WholePrompt(1000), PromptChunk(4097, 4032, 4097),
          PromptChunk(8191, 8128, 8191),
          PromptChunk(32768 - 61, 32768 - 64, 32768 - 61),
          PromptChunk(131072 - 61, 131072 - 64, 131072 - 61)}) {
      const int32_t group = slice.position_begin < 4096 ? 2 : 1;
      cases.emplace_back(
          AttentionCase({1, group, head_dim}, dtype, {slice}, {}, Seeds(1)));
    }
  }
  return cases;
}

// A backend, or a part of one, for one dtype.
struct PoolingTarget {
  std::string name;
  DType dtype;
  std::function<std::string()> missing;  // why it cannot run here; empty: can
  std::function<void(const AttentionPoolingArgs&, Executor*)> pool;
  bool is_gpu = false;
};

std::string DTypeName(DType dtype) {
  return dtype == DType::kFloat32 ? "fp32" : "bf16";
}

// The CPU backend with each instruction set that attention has a kernel for.
void AppendCpuTargets(DType dtype, std::vector<PoolingTarget>* targets) {
  for (const InstructionSet set : kInstructionSets) {
    if (!HasKernel(set, dtype)) continue;
    PoolingTarget target;
    target.name = std::string(Name(set)) + "_on_" + DTypeName(dtype);
    target.dtype = dtype;
    target.missing = [set] {
      return IsSupported(set) ? std::string()
                              : std::string("this machine has no ") + Name(set);
    };
    target.pool = [set](const AttentionPoolingArgs& args, Executor* executor) {
      DeviceStream stream;
      stream.executor = executor;
      PoolAttentionOnCpu(args, set, stream);
    };
    targets->push_back(target);
  }
}

#ifdef SEER_CUDA
void AppendCudaTarget(DType dtype, std::vector<PoolingTarget>* targets) {
  targets->push_back({"cuda_on_" + DTypeName(dtype), dtype, MissingCudaDevice,
                      [](const AttentionPoolingArgs& args, Executor*) {
                        const absl::Status status =
                            PoolAttentionFromHost(Backend::kCuda, args);
                        EXPECT_TRUE(status.ok()) << status;
                      },
                      /*is_gpu=*/true});
}
#else
void AppendCudaTarget(DType, std::vector<PoolingTarget>*) {}
#endif

std::vector<PoolingTarget> PoolingTargets() {
  std::vector<PoolingTarget> targets;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    AppendCpuTargets(dtype, &targets);
    AppendCudaTarget(dtype, &targets);
  }
  return targets;
}

class AttentionPoolingTest : public testing::TestWithParam<PoolingTarget> {
 protected:
  void SetUp() override {
    const std::string missing = GetParam().missing();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  DType dtype() const { return GetParam().dtype; }

  PoolingResult Run(const AttentionCase& c, int num_threads = 2) const {
    ThreadPool threads(num_threads);
    return RunPooling(c, [&](const AttentionPoolingArgs& args) {
      GetParam().pool(args, &threads);
    });
  }

  void ExpectMatchesReference(const Expected& e) const {
    const PoolingResult fast = Run(e.step);
    EXPECT_TRUE(WithinPoolingBudget(e.step, fast, e.plain, e.reference));
    EXPECT_TRUE(WithinAttentionBudget(e.step.Args(nullptr, nullptr),
                                      fast.attention, e.plain.attention,
                                      e.reference.attention));
  }
};

TEST_P(AttentionPoolingTest, MatchesReferenceOnRandomBatches) {
  for (const Expected& e : RandomBatches(dtype())) {
    SCOPED_TRACE("group " + std::to_string(e.step.shape().group));
    ExpectMatchesReference(e);
  }
}

TEST_P(AttentionPoolingTest, MatchesReferenceAtBlockBorders) {
  for (const Expected& e : BlockBorders(dtype())) {
    SCOPED_TRACE("rows " + std::to_string(e.step.batch().num_rows));
    ExpectMatchesReference(e);
  }
}

TEST_P(AttentionPoolingTest, MatchesReferenceOnLongPrompts) {
  for (const Expected& e : LongPrompts(dtype())) {
    SCOPED_TRACE(testing::Message()
                 << "head_dim " << e.step.shape().head_dim << ", "
                 << e.step.batch().sequences[0].prompt_len << " tokens");
    ExpectMatchesReference(e);
  }
}

// With the test before: all of its tiles are right, at every place in a batch.
TEST_P(AttentionPoolingTest, LongChunksEqualTheWhole) {
  if (!GetParam().is_gpu) GTEST_SKIP() << "takes the processor too long";
  for (const int32_t len : {8191, 32768, 131072}) {
    // fp32 has no fast kernel.
    if (len > 8191 && dtype() == DType::kFloat32) continue;
    const AttentionShape shape = {1, 2, 128};
    const AttentionCase whole(shape, dtype(), {WholePrompt(len)}, {}, Seeds(1));
    const PoolingResult expected = Run(whole);
    const int32_t num_tiles = static_cast<int32_t>(NumBlocks(len));
    for (const int32_t tile : {0, 1, 63, num_tiles / 2, num_tiles - 17,
                               num_tiles - 5, num_tiles - 1}) {
      const int32_t begin = tile * kBlockSize;
      const AttentionCase chunk(
          shape, dtype(),
          {PromptChunk(len, begin, std::min(len, begin + kBlockSize))}, {},
          Seeds(1));
      SCOPED_TRACE(testing::Message() << "tile " << tile << " of " << len);
      ExpectSameTile(chunk, Run(chunk), 0, whole, expected, tile);
    }
  }
}

AttentionPoolingArgs Sharpened(AttentionPoolingArgs args, float scale) {
  args.attention.scale = scale;
  return args;
}

// Scores far apart and far from 0, as sharp heads have them.
TEST_P(AttentionPoolingTest, MatchesReferenceOnSharpHeads) {
  const AttentionCase c({1, 2, 64}, dtype(), {WholePrompt(700)}, {}, Seeds(1));
  constexpr float kScale = 0.5f;
  const PoolingResult fast = RunPooling(c, [&](const auto& args) {
    GetParam().pool(Sharpened(args, kScale), nullptr);
  });
  const PoolingResult plain = RunPooling(
      c, [&](const auto& args) { PoolPlainly(Sharpened(args, kScale)); });
  const PoolingResult reference = RunPooling(
      c.Widened(),
      [&](const auto& args) { PoolWithReference(Sharpened(args, kScale)); });
  EXPECT_TRUE(WithinPoolingBudget(c, fast, plain, reference));
}

TEST_P(AttentionPoolingTest, HugeScoresStayFinite) {
  const AttentionCase c({1, 1, 64}, dtype(), {WholePrompt(300)}, {}, Seeds(1));
  RunPooling(c, [&](const AttentionPoolingArgs& args) {
    GetParam().pool(Sharpened(args, 40.0f), nullptr);
    for (int32_t t = 0; t < args.attention.batch.num_tiles; ++t) {
      for (int32_t j = 0; j <= args.attention.batch.tiles[t].block; ++j) {
        EXPECT_GE(args.max_target[t * args.row_len + j], 0.0f);
        EXPECT_LE(args.max_target[t * args.row_len + j], 1.0f);
        EXPECT_GE(args.mass_target[t * args.row_len + j], 0.0f);
        EXPECT_TRUE(std::isfinite(args.mass_target[t * args.row_len + j]));
      }
    }
  });
}

TEST_P(AttentionPoolingTest, ChunkedEqualsWhole) {
  const AttentionShape shape = {2, 3, 64};
  const AttentionCase whole(shape, dtype(), {WholePrompt(2300)}, {}, Seeds(1));
  const PoolingResult expected = Run(whole);
  for (int32_t begin = 0; begin < 2300;) {
    const int32_t end = std::min(2300, begin + 64 * (3 + begin / 64 % 9));
    const AttentionCase chunk(shape, dtype(), {PromptChunk(2300, begin, end)},
                              {}, Seeds(1));
    const PoolingResult result = Run(chunk);
    for (int32_t t = 0; t < chunk.batch().num_tiles; ++t) {
      ExpectSameTile(chunk, result, t, whole, expected, begin / 64 + t);
    }
    begin = end;
  }
}

// A range of tiles of a batch whose rows stay where they are.
TEST_P(AttentionPoolingTest, RangesOfTilesEqualWhole) {
  const AttentionCase c({1, 2, 64}, dtype(), {WholePrompt(500)}, {}, Seeds(1));
  const PoolingResult expected = Run(c);
  const PoolingResult ranges =
      RunPooling(c, [&](const AttentionPoolingArgs& whole) {
        for (const auto& [first, last] :
             std::vector<std::pair<int32_t, int32_t>>{{5, 8}, {0, 1}, {1, 5}}) {
          AttentionPoolingArgs args = whole;
          const int64_t skipped =
              int64_t{first} * args.attention.num_query_heads * args.row_len;
          args.attention.batch.tiles += first;
          args.attention.batch.num_tiles = last - first;
          args.attention.batch.num_prompt_tiles = last - first;
          args.max_target += skipped;
          args.mass_target += skipped;
          GetParam().pool(args, nullptr);
        }
      });
  ExpectSame(ranges, expected);
}

TEST_P(AttentionPoolingTest, NeighboursChangeNothing) {
  const AttentionShape shape = {2, 3, 64};
  const std::vector<SliceSpec> specs = {
      WholePrompt(200), PromptChunk(777, 320, 512), WholePrompt(1),
      PromptChunk(4200, 4096, 4200)};
  const std::vector<uint64_t> seeds = Seeds(specs.size());
  const AttentionCase together(shape, dtype(), specs, {}, seeds);
  const PoolingResult result = Run(together);
  int32_t tile = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    const AttentionCase alone(shape, dtype(), {specs[i]}, {}, {seeds[i]});
    const PoolingResult alone_result = Run(alone);
    for (int32_t t = 0; t < alone.batch().num_tiles; ++t, ++tile) {
      ExpectSameTile(alone, alone_result, t, together, result, tile);
    }
  }
}

TEST_P(AttentionPoolingTest, ThreadsChangeNothing) {
  const AttentionCase c({1, 4, 64}, dtype(),
                        {WholePrompt(500), PromptChunk(900, 512, 900)}, {},
                        Seeds(2));
  ExpectSame(Run(c, 3), Run(c, 1));
}

TEST_P(AttentionPoolingTest, EveryOutputIsOptional) {
  const AttentionCase c({1, 2, 64}, dtype(), {WholePrompt(2200)}, {}, Seeds(1));
  const PoolingResult all = Run(c);
  const PoolingResult only_max = RunPooling(c, [&](AttentionPoolingArgs args) {
    args.attention.out = nullptr;
    args.attention.log_sum_exp = nullptr;
    args.mass_target = nullptr;
    GetParam().pool(args, nullptr);
  });
  const PoolingResult only_mass = RunPooling(c, [&](AttentionPoolingArgs args) {
    args.attention.log_sum_exp = nullptr;
    args.max_target = nullptr;
    GetParam().pool(args, nullptr);
  });
  ExpectSame(only_max.max_target, all.max_target);
  ExpectSame(only_mass.mass_target, all.mass_target);
  ExpectSame(only_mass.attention.out, all.attention.out);
  for (const float value : only_mass.max_target) EXPECT_TRUE(std::isnan(value));
}

INSTANTIATE_TEST_SUITE_P(
    All, AttentionPoolingTest, testing::ValuesIn(PoolingTargets()),
    [](const testing::TestParamInfo<PoolingTarget>& target) {
      return target.param.name;
    });

// Two tokens, so one block of three probabilities that can be told by hand.
TEST(AttentionPoolingReferenceTest, TwoBlocksByHand) {
  const AttentionCase c({1, 1, 2}, DType::kFloat32, {WholePrompt(65)}, {},
                        Seeds(1));
  const AttentionArgs args = c.Args(nullptr, nullptr);
  const float* q = static_cast<const float*>(args.queries) + 64 * 2;
  double sums[2] = {}, maxima[2] = {};
  for (int32_t k = 0; k < 65; ++k) {
    const int64_t page = args.batch.sequences[0].page_table[k / 64];
    const float* key = static_cast<const float*>(args.kv.pages) +
                       args.kv.KeyOffset(page, 0) + k % 64 * 2;
    const double p = std::exp((q[0] * key[0] + q[1] * key[1]) / std::sqrt(2.0));
    sums[k / 64] += p;
    maxima[k / 64] = std::max(maxima[k / 64], p);
  }
  const PoolingResult result = RunPooling(c, PoolWithReference);
  const int64_t row_len = result.max_target.size() / 2;
  EXPECT_FLOAT_EQ(result.max_target[0], 1.0f);
  EXPECT_FLOAT_EQ(result.mass_target[0], 1.0f);
  for (int j = 0; j < 2; ++j) {
    EXPECT_FLOAT_EQ(result.max_target[row_len + j],
                    maxima[j] / (maxima[0] + maxima[1]));
    EXPECT_FLOAT_EQ(result.mass_target[row_len + j],
                    sums[j] / (sums[0] + sums[1]));
  }
}

}  // namespace
}  // namespace seer
