// What Attend refuses, and page pools past 2^31 elements.
#include <sys/mman.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention/attention.h"
#include "tests/testing/kernels/cases/attention_case.h"

namespace seer {
namespace {

class AttentionArgumentsTest : public testing::TestWithParam<Backend> {
 protected:
  AttentionArgumentsTest()
      : case_({2, 3, 64}, DType::kBFloat16,
              {WholePrompt(200), GeneratedRows(5, 70, 1)},
              {SetPattern::kSparse, SetPattern::kAll}, {1, 2}),
        out_(DType::kBFloat16, int64_t{case_.batch().num_rows} * 6 * 64, 0.0f),
        args_(case_.Args(&out_, nullptr)) {}

  absl::StatusCode Code() const { return Attend(GetParam(), args_, {}).code(); }

  AttentionCase case_;
  TypedArray out_;
  AttentionArgs args_;
};

TEST_P(AttentionArgumentsTest, TakesValidOnes) {
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
}

TEST_P(AttentionArgumentsTest, TakesAnEmptyBatch) {
  args_.batch = {};
  args_.queries = nullptr;
  args_.out = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kOk);
}

TEST_P(AttentionArgumentsTest, RefusesHeadsThatDisagree) {
  args_.num_query_heads = 5;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_.num_query_heads = 0;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_.num_query_heads = 34;  // a group of 17
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesOtherHeadDims) {
  for (const int32_t head_dim : {63, 258}) {
    args_.kv.head_dim = head_dim;
    EXPECT_EQ(Code(), absl::StatusCode::kUnimplemented);
  }
  args_.kv.head_dim = 0;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesTwoDtypes) {
  args_.kv.dtype = DType::kFloat32;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesScalesThatAreNotPositive) {
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    args_.scale = scale;
    EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_P(AttentionArgumentsTest, RefusesMissingTensors) {
  const AttentionArgs valid = args_;
  args_.queries = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_ = valid;
  args_.out = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_ = valid;
  args_.kv.pages = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_ = valid;
  args_.batch.tiles = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesPagesOutsideThePool) {
  int32_t most = 0;
  for (int32_t s = 0; s < args_.batch.num_sequences; ++s) {
    const SequenceSlice& slice = args_.batch.sequences[s];
    const int64_t blocks = NumBlocks(slice.position_begin + slice.num_rows);
    for (int64_t b = 0; b < blocks; ++b) {
      most = std::max(most, slice.page_table[b]);
    }
  }
  args_.kv.num_pages = most;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesTilesOutsideTheirSequence) {
  std::vector<Tile> tiles(args_.batch.tiles,
                          args_.batch.tiles + args_.batch.num_tiles);
  tiles[1].block = 2;
  args_.batch.tiles = tiles.data();
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(AttentionArgumentsTest, RefusesSetsThatDisagree) {
  const BlockSets valid = args_.sets;
  args_.sets.num_words = 0;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_.sets = valid;
  args_.sets.num_query_heads = 5;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
  args_.sets = valid;
  args_.sets.counts = nullptr;
  EXPECT_EQ(Code(), absl::StatusCode::kInvalidArgument);
}

// One row at a page whose elements lie past 2^32.
TEST_P(AttentionArgumentsTest, ReadsPagesPastThirtyTwoBits) {
  constexpr int32_t kHeads = 8;
  constexpr int32_t kDim = 256;
  constexpr int64_t kPage = (int64_t{1} << 32) / (2 * kHeads * 64 * kDim) + 3;
  PagedKv kv;
  kv.num_kv_heads = kHeads;
  kv.head_dim = kDim;
  kv.num_pages = kPage + 1;
  const size_t bytes = kv.KeyOffset(kv.num_pages, 0) * sizeof(BFloat16);
  void* pool = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pool == MAP_FAILED) GTEST_SKIP() << "no address space for " << bytes;
  kv.pages = pool;
  for (int32_t h = 0; h < kHeads; ++h) {
    for (int32_t d = 0; d < kDim; ++d) {
      static_cast<BFloat16*>(pool)[kv.ValueOffset(kPage, h) + d] =
          BFloat16(static_cast<float>(h + 1));
    }
  }
  const int32_t page_table[] = {static_cast<int32_t>(kPage)};
  SequenceSlice slice;
  slice.num_rows = 1;
  slice.prompt_len = 1;
  slice.page_table = page_table;
  Tile tile;
  tile.num_rows = 1;
  AttentionArgs args;
  args.batch.sequences = &slice;
  args.batch.tiles = &tile;
  args.batch.num_sequences = args.batch.num_rows = 1;
  args.batch.num_tiles = args.batch.num_prompt_tiles = 1;
  args.num_query_heads = kHeads;
  const TypedArray queries(DType::kBFloat16, kHeads * kDim, 1.0f);
  TypedArray out(DType::kBFloat16, kHeads * kDim, 0.0f);
  args.queries = queries.data();
  args.kv = kv;
  args.scale = 1.0f;
  args.out = out.data();
  EXPECT_TRUE(Attend(GetParam(), args, {}).ok());
  for (int32_t h = 0; h < kHeads; ++h) {
    EXPECT_EQ(out.Get(h * kDim + kDim - 1), h + 1);
  }
  munmap(pool, bytes);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionArgumentsTest,
                         testing::Values(Backend::kReference, Backend::kCpu),
                         [](const testing::TestParamInfo<Backend>& backend) {
                           return backend.param == Backend::kCpu ? "cpu"
                                                                 : "reference";
                         });

}  // namespace
}  // namespace seer
