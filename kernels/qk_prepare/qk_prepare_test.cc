#include "kernels/qk_prepare/qk_prepare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/thread/thread_pool.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/backend_cases.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/host_calls.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 20241;

const HeadShape kShapes[] = {{9, 3, 64}, {16, 1, 64}, {5, 5, 80}, {8, 2, 128},
                             {4, 2, 32}, {3, 1, 2},   {2, 2, 42}, {14, 2, 256}};

// Two prompts with generated tokens, one of them ragged.
std::vector<SequenceTokens> SomeSequences(const HeadShape& shape, DType dtype) {
  return {RandomTokens(shape, 300, 200, dtype, kSeed),
          RandomTokens(shape, 70, 1, dtype, kSeed + 1),
          RandomTokens(shape, 130, 128, dtype, kSeed + 2)};
}

// Steps that fill every token: chunks of prompts beside generated rows.
const std::vector<std::vector<StepSlice>> kSteps = {
    {{0, 0, 64}, {1, 0, 1}},
    {{0, 64, 192}, {1, 1, 40}, {2, 0, 64}},
    {{1, 40, 41}, {0, 192, 200}, {2, 64, 128}},
    {{2, 128, 129}, {0, 200, 260}, {1, 41, 70}},
    {{0, 260, 300}, {2, 129, 130}},
};

bool SameBits(const float* a, const float* b, int64_t n) {
  return n == 0 || std::memcmp(a, b, n * sizeof(float)) == 0;
}

bool SameBits(const TypedArray& a, const TypedArray& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * SizeOf(a.dtype())) == 0;
}

bool SamePages(PagedSequences& a, PagedSequences& b) {
  const PagedKv x = a.kv();
  const PagedKv y = b.kv();
  const int64_t width = int64_t{x.num_kv_heads} * x.head_dim;
  return std::memcmp(x.pages, y.pages,
                     x.num_pages * 2 * kBlockSize * width * SizeOf(x.dtype)) ==
             0 &&
         SameBits(x.pooled_keys, y.pooled_keys,
                  x.num_pages * kNumPools * width);
}

class QkPrepareTest : public BackendCaseTest {
 protected:
  // Runs the steps here and by the reference, and compares everything.
  void ExpectEqualsReference(
      const HeadShape& shape, const std::vector<SequenceTokens>& tokens,
      const std::vector<std::vector<StepSlice>>& steps) const {
    ThreadPool threads(3);
    PagedSequences reference(shape, dtype(), tokens, RopeConfig(), kSeed);
    PagedSequences tested(shape, dtype(), tokens, RopeConfig(), kSeed);
    for (size_t i = 0; i < steps.size(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i) + " D " +
                   std::to_string(shape.head_dim));
      const PreparedStep want =
          reference.Prepare(Backend::kReference, steps[i]);
      const PreparedStep got =
          tested.Prepare(backend(), steps[i], DeviceStream{&threads});
      EXPECT_TRUE(SameBits(got.roped_queries, want.roped_queries));
      EXPECT_TRUE(SameBits(got.pooled_queries.data(),
                           want.pooled_queries.data(),
                           want.pooled_queries.size()));
      EXPECT_TRUE(SamePages(tested, reference));
    }
  }
};

TEST_P(QkPrepareTest, EqualsReferenceBitForBit) {
  for (const HeadShape& shape : kShapes) {
    ExpectEqualsReference(shape, SomeSequences(shape, dtype()), kSteps);
  }
}

TEST_P(QkPrepareTest, EqualsReferenceAtEveryLength) {
  const HeadShape shape{2, 1, 64};
  std::vector<int32_t> lens = {1, 63, 64, 65, 127, 128, 129, 1000, 4097, 8191};
  // The host's take each tile alike; a GPU's grids and offsets grow.
  if (backend() == Backend::kCuda) lens.insert(lens.end(), {32768, 131072});
  std::vector<SequenceTokens> tokens;
  std::vector<StepSlice> prompts, generated;
  for (const int32_t len : lens) {
    const int32_t index = static_cast<int32_t>(tokens.size());
    prompts.push_back({index, 0, len});
    generated.push_back({index, len, len + 1});
    tokens.push_back(RandomTokens(shape, len + 1, len, dtype(), kSeed + index));
  }
  ExpectEqualsReference(shape, tokens, {prompts, generated});
}

// Against the definition, in double, key by key.
TEST_P(QkPrepareTest, MatchesDefinition) {
  const HeadShape shape{4, 2, 64};
  const int32_t len = 150;
  PagedSequences sequences(shape, dtype(),
                           {RandomTokens(shape, len, len, dtype(), kSeed)},
                           RopeConfig(), kSeed);
  const PreparedStep step =
      sequences.Prepare(backend(), sequences.WholePrompts());
  const PagedKv kv = sequences.kv();
  const SequenceTokens& tokens = sequences.sequences()[0];
  const int64_t page_elements =
      kv.num_pages * 2 * shape.num_kv_heads * kBlockSize * shape.head_dim;
  TypedArray pages(dtype(), page_elements);
  std::memcpy(pages.data(), kv.pages, page_elements * SizeOf(dtype()));
  const double unit = dtype() == DType::kFloat32
                          ? std::ldexp(1.0, -24)
                          : std::ldexp(1.0, -8) + std::ldexp(1.0, -24);
  for (int64_t p = 0; p < len; ++p) {
    const int64_t page = sequences.pages(0)[p / kBlockSize];
    for (int64_t h = 0; h < shape.num_kv_heads; ++h) {
      const float* x =
          &tokens.keys[(p * shape.num_kv_heads + h) * shape.head_dim];
      const float* v =
          &tokens.values[(p * shape.num_kv_heads + h) * shape.head_dim];
      const int64_t slot = p % kBlockSize * shape.head_dim;
      for (int64_t i = 0; i < shape.head_dim; ++i) {
        const int64_t pair = i % 32;
        const double cos = sequences.rope().cos[p * 32 + pair];
        const double sin = sequences.rope().sin[p * 32 + pair];
        const double other = i < 32 ? -double{x[i + 32]} : double{x[i - 32]};
        const double exact = x[i] * cos + other * sin;
        // Two products, one sum, one store, each rounded.
        const double bound = unit * std::abs(exact) +
                             std::ldexp(1.0, -23) *
                                 (std::abs(x[i] * cos) + std::abs(other * sin));
        EXPECT_NEAR(pages.Get(kv.KeyOffset(page, h) + slot + i), exact, bound);
        EXPECT_EQ(pages.Get(kv.ValueOffset(page, h) + slot + i), v[i]);
      }
    }
  }
}

TEST_P(QkPrepareTest, PoolsFollowTheTokensPresent) {
  const HeadShape shape{4, 2, 64};
  const int32_t len = 150;
  PagedSequences sequences(shape, dtype(),
                           {RandomTokens(shape, len, len, dtype(), kSeed)},
                           RopeConfig(), kSeed);
  const PreparedStep step =
      sequences.Prepare(backend(), sequences.WholePrompts());
  const SequenceTokens& tokens = sequences.sequences()[0];
  const int64_t width = int64_t{shape.num_query_heads} * shape.head_dim;
  for (int64_t block = 0; block < NumBlocks(len); ++block) {
    const int64_t begin = block * kBlockSize;
    const int64_t end = std::min<int64_t>(len, begin + kBlockSize);
    for (int64_t c = 0; c < width; ++c) {
      float max = -std::numeric_limits<float>::infinity();
      float min = -max;
      float sum = 0, roped_sum = 0;
      for (int64_t p = begin; p < end; ++p) {
        const float x = tokens.queries[p * width + c];
        max = std::max(max, x);
        min = std::min(min, x);
        sum += x;
        roped_sum += step.roped_queries.Get(p * width + c);
      }
      const float* pools = &step.pooled_queries[(block * shape.num_query_heads +
                                                 c / shape.head_dim) *
                                                    kNumPools * shape.head_dim +
                                                c % shape.head_dim];
      EXPECT_EQ(pools[kPoolMax * shape.head_dim], max);
      EXPECT_EQ(pools[kPoolMin * shape.head_dim], min);
      EXPECT_EQ(pools[kPoolSum * shape.head_dim], sum);
      EXPECT_EQ(pools[kPoolRopedSum * shape.head_dim], roped_sum);
    }
  }
  // Keys pool like queries: with one KV head a query head, the same rows.
  SequenceTokens twin = tokens;
  twin.keys = twin.queries;
  twin.values = twin.queries;
  PagedSequences twins(HeadShape{4, 4, 64}, dtype(), {twin}, RopeConfig(),
                       kSeed);
  const PreparedStep twin_step = twins.Prepare(backend(), twins.WholePrompts());
  for (int64_t block = 0; block < NumBlocks(len); ++block) {
    EXPECT_TRUE(
        SameBits(twins.kv().pooled_keys +
                     twins.kv().PoolOffset(twins.pages(0)[block], 0, kPoolMax),
                 &twin_step.pooled_queries[block * kNumPools * width],
                 kNumPools * width));
  }
}

TEST_P(QkPrepareTest, ChunksAndAppendsLeaveThePagesOfOnePrefill) {
  const HeadShape shape{6, 2, 80};
  const std::vector<int32_t> lengths = {1, 63, 64, 65, 200};
  std::vector<SequenceTokens> whole_tokens, decoded_tokens;
  std::vector<StepSlice> first_tokens;
  for (size_t i = 0; i < lengths.size(); ++i) {
    whole_tokens.push_back(
        RandomTokens(shape, lengths[i], lengths[i], dtype(), kSeed + i));
    decoded_tokens.push_back(whole_tokens.back());
    decoded_tokens.back().prompt_len = 1;
    first_tokens.push_back({static_cast<int32_t>(i), 0, 1});
  }
  PagedSequences whole(shape, dtype(), whole_tokens, RopeConfig(), kSeed);
  whole.Prepare(backend(), whole.WholePrompts());

  PagedSequences chunked(shape, dtype(), whole_tokens, RopeConfig(), kSeed);
  for (size_t i = 0; i < lengths.size(); ++i) {
    for (int32_t p = 0; p < lengths[i]; p += kBlockSize) {
      chunked.Prepare(backend(), {{static_cast<int32_t>(i), p,
                                   std::min(lengths[i], p + kBlockSize)}});
    }
  }
  EXPECT_TRUE(SamePages(chunked, whole));

  PagedSequences decoded(shape, dtype(), decoded_tokens, RopeConfig(), kSeed);
  decoded.Prepare(backend(), first_tokens);
  for (int32_t p = 1; p < 200; ++p) {
    std::vector<StepSlice> rows;
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (p < lengths[i]) rows.push_back({static_cast<int32_t>(i), p, p + 1});
    }
    decoded.Prepare(backend(), rows);
  }
  EXPECT_TRUE(SamePages(decoded, whole));
}

TEST_P(QkPrepareTest, NaNStaysInItsChannelsPools) {
  const HeadShape shape{2, 2, 64};
  for (const int32_t where : {0, 1, 63}) {
    SequenceTokens tokens = RandomTokens(shape, 64, 64, dtype(), kSeed);
    constexpr int32_t kChannel = 5;
    tokens.keys[where * 128 + kChannel] =
        std::numeric_limits<float>::quiet_NaN();
    PagedSequences sequences(shape, dtype(), {tokens}, RopeConfig(), kSeed);
    sequences.Prepare(backend(), sequences.WholePrompts());
    const PagedKv kv = sequences.kv();
    for (int kind = 0; kind < kNumPools; ++kind) {
      const float* pool =
          kv.pooled_keys + kv.PoolOffset(sequences.pages(0)[0], 0, kind);
      for (int32_t c = 0; c < 64; ++c) {
        const bool is_hit =
            c == kChannel || (kind == kPoolRopedSum && c == kChannel + 32);
        EXPECT_EQ(std::isnan(pool[c]), is_hit)
            << "pool " << kind << " channel " << c << " row " << where;
      }
    }
  }
}

// Columns of one fused projection's output; in rows of an odd length they are
// aligned to elements only.
TEST_P(QkPrepareTest, ReadsFusedRows) {
  const HeadShape shape{4, 2, 64};
  for (const int64_t width : {(4 + 2 + 2) * 64, (4 + 2 + 2) * 64 + 1}) {
    PagedSequences plain(shape, dtype(), SomeSequences(shape, dtype()),
                         RopeConfig(), kSeed);
    PagedSequences fused(shape, dtype(), SomeSequences(shape, dtype()),
                         RopeConfig(), kSeed);
    const PreparedStep step =
        plain.Prepare(Backend::kReference, plain.WholePrompts());
    const int64_t num_rows = step.batch.batch().num_rows;
    TypedArray rows(dtype(), num_rows * width);
    for (int64_t r = 0; r < num_rows; ++r) {
      for (int64_t c = 0; c < 256; ++c) {
        rows.Set(r * width + c, step.queries.Get(r * 256 + c));
      }
      for (int64_t c = 0; c < 128; ++c) {
        rows.Set(r * width + 256 + c, step.keys.Get(r * 128 + c));
        rows.Set(r * width + 384 + c, step.values.Get(r * 128 + c));
      }
    }
    const auto column = [&](int64_t c) {
      return static_cast<const char*>(rows.data()) + c * SizeOf(dtype());
    };
    TypedArray roped(dtype(), num_rows * 256);
    QkPrepareArgs args;
    args.batch = step.batch.batch();
    args.dtype = dtype();
    args.num_query_heads = 4;
    args.queries = column(0);
    args.keys = column(256);
    args.values = column(384);
    args.query_row_stride = args.key_row_stride = args.value_row_stride = width;
    args.rope = fused.rope();
    args.roped_queries = roped.data();
    args.kv = fused.kv();
    ASSERT_TRUE(QkPrepareFromHost(backend(), args).ok());
    EXPECT_TRUE(SameBits(roped, step.roped_queries));
    EXPECT_TRUE(SamePages(fused, plain));
  }
}

// Graphs pad batches with tiles of no rows; other backends refuse them.
TEST_P(QkPrepareTest, PassesOverEmptyTiles) {
  const HeadShape shape{4, 2, 64};
  PagedSequences sequences(shape, dtype(), SomeSequences(shape, dtype()),
                           RopeConfig(), kSeed);
  PagedSequences untouched(shape, dtype(), SomeSequences(shape, dtype()),
                           RopeConfig(), kSeed);
  PreparedStep step =
      sequences.Prepare(Backend::kReference, {{1, 0, 1}, {2, 0, 64}});
  std::vector<Tile> tiles(
      step.batch.batch().tiles,
      step.batch.batch().tiles + step.batch.batch().num_tiles);
  for (Tile& tile : tiles) tile.num_rows = 0;
  QkPrepareArgs args;
  args.batch = step.batch.batch();
  args.batch.tiles = tiles.data();
  args.dtype = dtype();
  args.num_query_heads = 4;
  args.queries = step.queries.data();
  args.keys = step.keys.data();
  args.values = step.values.data();
  args.rope = sequences.rope();
  args.roped_queries = step.roped_queries.data();
  args.kv = untouched.kv();
  const absl::Status status = QkPrepareFromHost(backend(), args);
  EXPECT_EQ(status.ok(), backend() == Backend::kCuda) << status;
  PagedSequences fresh(shape, dtype(), SomeSequences(shape, dtype()),
                       RopeConfig(), kSeed);
  EXPECT_TRUE(SamePages(untouched, fresh));
}

INSTANTIATE_TEST_SUITE_P(All, QkPrepareTest, AllBackendCases(),
                         BackendCaseName);

TEST(QkPrepareChecksTest, RefusesWhatItCannotRun) {
  const HeadShape shape{4, 2, 64};
  PagedSequences sequences(shape, DType::kFloat32,
                           SomeSequences(shape, DType::kFloat32), RopeConfig(),
                           kSeed);
  PreparedStep step =
      sequences.Prepare(Backend::kReference, sequences.WholePrompts());
  QkPrepareArgs good;
  good.batch = step.batch.batch();
  good.dtype = DType::kFloat32;
  good.num_query_heads = 4;
  good.queries = step.queries.data();
  good.keys = step.keys.data();
  good.values = step.values.data();
  good.rope = sequences.rope();
  good.roped_queries = step.roped_queries.data();
  good.kv = sequences.kv();
  ASSERT_TRUE(QkPrepare(Backend::kCpu, good, {}).ok());

  SequenceSlice one_page[2] = {good.batch.sequences[0],
                               good.batch.sequences[1]};
  const int32_t pages[] = {0, 1, 2, 3, 4};
  one_page[0].page_table = one_page[1].page_table = pages;
  // Of shapes first: a GPU's backend cannot see the others.
  const std::function<void(QkPrepareArgs&)> breakages[] = {
      [](QkPrepareArgs& a) { a.queries = nullptr; },
      [](QkPrepareArgs& a) { a.roped_queries = nullptr; },
      [](QkPrepareArgs& a) { a.dtype = DType::kBFloat16; },
      [](QkPrepareArgs& a) { a.num_query_heads = 5; },
      [](QkPrepareArgs& a) { a.query_row_stride = 255; },
      [](QkPrepareArgs& a) { a.key_row_stride = -128; },
      [](QkPrepareArgs& a) { a.kv.head_dim = 63; },
      [](QkPrepareArgs& a) { a.rope.num_positions = 100; },
      [](QkPrepareArgs& a) { a.kv.num_pages = 3; },
      [](QkPrepareArgs& a) { a.batch.num_rows = 10; },
      [&](QkPrepareArgs& a) {
        a.batch.sequences = one_page;
        a.batch.num_sequences = 2;
        a.batch.num_tiles = a.batch.num_prompt_tiles = 5;
      },
  };
  constexpr size_t kNumOfShapes = 7;
  for (size_t i = 0; i < std::size(breakages); ++i) {
    QkPrepareArgs bad = good;
    breakages[i](bad);
    EXPECT_EQ(QkPrepare(Backend::kCpu, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
    if (i >= kNumOfShapes) continue;
    EXPECT_EQ(QkPrepare(Backend::kCuda, bad, {}).code(),
              absl::StatusCode::kInvalidArgument)
        << "breakage " << i;
  }
}

}  // namespace
}  // namespace seer
