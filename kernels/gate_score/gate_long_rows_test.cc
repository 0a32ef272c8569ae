#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/gate_score/gate_score.h"
#include "tests/testing/kernels/backend_cases.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/error_budget.h"
#include "tests/testing/kernels/host_calls.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 4099;

std::vector<float> Normals(int64_t size, std::mt19937_64* random) {
  std::normal_distribution<float> normal;
  std::vector<float> values(size);
  for (float& value : values) value = normal(*random);
  return values;
}

// The last two tiles of a prompt of `num_blocks` blocks, whose other pages'
// entries earlier steps have left: mean_pool over given pools.
class LongRows {
 public:
  LongRows(int32_t num_blocks, int32_t head_dim, DType dtype,
           std::mt19937_64* random)
      : num_blocks_(num_blocks),
        head_dim_(head_dim),
        batch_(
            {PromptChunk(num_blocks * kBlockSize, (num_blocks - 2) * kBlockSize,
                         num_blocks * kBlockSize)},
            kSeed),
        pooled_queries_(Normals(2 * kHeads * kNumPools * head_dim, random)),
        pooled_keys_(
            Normals(batch_.num_pages() * kNumPools * head_dim, random)),
        entries_(Normals(batch_.num_pages() * head_dim, random)),
        stored_entries_(dtype, entries_) {}

  // [2, kHeads, num_blocks]; what is not written is NaN.
  std::vector<float> Score(Backend backend) {
    TypedArray key_entries = stored_entries_;
    std::vector<float> logits(2 * kHeads * num_blocks_,
                              std::numeric_limits<float>::quiet_NaN());
    const int32_t tiles[] = {0, 1};
    GateScoreArgs args;
    args.batch = batch_.batch();
    args.dtype = key_entries.dtype();
    args.num_query_heads = kHeads;
    args.gate.mean_pool = true;
    args.tile_indices = tiles;
    args.num_scored_tiles = 2;
    args.pooled_queries = pooled_queries_.data();
    args.kv.pages = pooled_keys_.data();  // not read
    args.kv.pooled_keys = pooled_keys_.data();
    args.kv.dtype = key_entries.dtype();
    args.kv.num_pages = batch_.num_pages();
    args.kv.num_kv_heads = 1;
    args.kv.head_dim = head_dim_;
    args.key_entries = key_entries.data();
    args.num_entry_heads = 1;
    args.logits = logits.data();
    args.logits_row_len = num_blocks_;
    const absl::Status status = GateScoreFromHost(backend, args);
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }

  // 0 for what a row does not see.
  std::vector<float> Exact() const {
    std::vector<float> logits(2 * kHeads * num_blocks_);
    for (int64_t row = 0; row < 2 * kHeads; ++row) {
      const int32_t num_visible = row < kHeads ? num_blocks_ - 1 : num_blocks_;
      for (int32_t block = 0; block < num_visible; ++block) {
        logits[row * num_blocks_ + block] =
            static_cast<float>(ExactLogit(row, block));
      }
    }
    return logits;
  }

  // The block that the first tile's rows do not see must be unwritten; 0 then,
  // as in Exact().
  void ClearUnseen(std::vector<float>* logits) const {
    for (int64_t head = 0; head < kHeads; ++head) {
      float& unseen = (*logits)[(head + 1) * num_blocks_ - 1];
      EXPECT_TRUE(std::isnan(unseen));
      unseen = 0.0f;
    }
  }

 private:
  static constexpr int32_t kHeads = 16;

  double ExactLogit(int64_t row, int32_t block) const {
    const int64_t page = batch_.batch().sequences[0].page_table[block];
    const bool is_new = block >= num_blocks_ - 2;
    const float* const query = RopedSum(pooled_queries_, row);
    const float* const new_key = RopedSum(pooled_keys_, page);
    double sum = 0.0;
    for (int32_t c = 0; c < head_dim_; ++c) {
      const double key =
          is_new ? new_key[c] / 64.0 : double{entries_[page * head_dim_ + c]};
      sum += query[c] / 64.0 * key;
    }
    return sum / std::sqrt(head_dim_);
  }
  const float* RopedSum(const std::vector<float>& pools, int64_t row) const {
    return &pools[(row * kNumPools + kPoolRopedSum) * head_dim_];
  }

  int32_t num_blocks_;
  int32_t head_dim_;
  RaggedCase batch_;
  std::vector<float> pooled_queries_, pooled_keys_, entries_;
  TypedArray stored_entries_;
};

class GateLongRowsTest : public BackendCaseTest {};

// Prompts of 128 to 1048576 tokens.
TEST_P(GateLongRowsTest, AreWithinTheErrorBudget) {
  std::mt19937_64 random(kSeed);
  for (const int32_t num_blocks : {2, 3, 65, 128, 512, 2048, 16384}) {
    for (const int32_t head_dim : {64, 128}) {
      LongRows rows(num_blocks, head_dim, dtype(), &random);
      std::vector<float> fast = rows.Score(backend());
      std::vector<float> plain = rows.Score(Backend::kReference);
      rows.ClearUnseen(&fast);
      rows.ClearUnseen(&plain);
      EXPECT_TRUE(WithinErrorBudget(fast, plain, rows.Exact(), DType::kFloat32))
          << num_blocks << " blocks, D " << head_dim;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GateLongRowsTest, FastBackendCases(),
                         BackendCaseName);

}  // namespace
}  // namespace seer
