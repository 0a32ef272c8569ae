#include "tests/testing/kernels/cases/attention_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "tests/testing/kernels/error_budget.h"

namespace seer {
namespace {

constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kGarbage = 0xa5a5'5a5a'f00d'0ff0;

// Scores of deviation 2 after scaling: peaked, as a model's are.
constexpr float kQueryDeviation = 2.0f;

// Values by place, so that any part can be made without the rest.
class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : seed_(seed) {}

  // The i-th value of token `position`: close to normal, of deviation 1 (four
  // uniform numbers added).
  float Get(int32_t position, int32_t i) const {
    const uint64_t bits = Mix(Mix(seed_ + static_cast<uint32_t>(position)) + i);
    const int64_t sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) +
                        ((bits >> 32) & 0xffff) + (bits >> 48);
    return static_cast<float>(sum - 2 * 0xffff) * (1.7320508f / 0x10000);
  }

 private:
  // SplitMix64's step: https://doi.org/10.1145/2714064.2660195
  static uint64_t Mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  uint64_t seed_;
};

bool Chooses(SetPattern pattern, int32_t block, int32_t diagonal,
             std::mt19937_64& random) {
  const bool drawn = random() % 3 == 0;
  switch (pattern) {
    case SetPattern::kAll:
      return true;
    case SetPattern::kSparse:
      return drawn || block == diagonal;
    case SetPattern::kNoDiagonal:
      return drawn && block != diagonal;
    case SetPattern::kEmpty:
      return false;
  }
  return false;
}

}  // namespace

AttentionCase::AttentionCase(const AttentionShape& shape, DType dtype,
                             const std::vector<SliceSpec>& specs,
                             const std::vector<SetPattern>& patterns,
                             const std::vector<uint64_t>& seeds)
    : shape_(shape),
      dtype_(dtype),
      ragged_(std::make_shared<RaggedCase>(specs, /*seed=*/seeds.front())),
      queries_(dtype,
               int64_t{ragged_->batch().num_rows} * shape.num_query_heads() *
                   shape.head_dim,
               kUnwritten),
      pages_(dtype,
             ragged_->num_pages() * 2 * shape.num_kv_heads * kBlockSize *
                 shape.head_dim,
             kUnwritten) {
  for (int32_t i = 0; i < batch().num_sequences; ++i) {
    FillSequence(i, seeds[i]);
  }
  if (!patterns.empty()) FillSets(patterns, seeds);
}

void AttentionCase::FillSequence(int32_t sequence, uint64_t seed) {
  const SequenceSlice& slice = batch().sequences[sequence];
  const int32_t dim = shape_.head_dim;
  const PagedKv kv = Args(nullptr, nullptr).kv;
  const RandomValues random(seed);
  const int32_t key_width = shape_.num_kv_heads * dim;
  const int32_t query_width = shape_.num_query_heads() * dim;
  const int32_t end = slice.position_begin + slice.num_rows;
  for (int32_t position = 0; position < end; ++position) {
    const int64_t page = slice.page_table[position / kBlockSize];
    const int64_t token = int64_t{position % kBlockSize} * dim;
    for (int32_t i = 0; i < key_width; ++i) {
      const int64_t at = token + i % dim;
      pages_.Set(kv.KeyOffset(page, i / dim) + at, random.Get(position, i));
      pages_.Set(kv.ValueOffset(page, i / dim) + at,
                 random.Get(position, key_width + i));
    }
    if (position < slice.position_begin) continue;
    const int64_t row =
        int64_t{slice.row_begin} + position - slice.position_begin;
    for (int32_t i = 0; i < query_width; ++i) {
      queries_.Set(row * query_width + i,
                   kQueryDeviation * random.Get(position, 2 * key_width + i));
    }
  }
}

void AttentionCase::FillSets(const std::vector<SetPattern>& patterns,
                             const std::vector<uint64_t>& seeds) {
  const RaggedBatch& b = batch();
  const int32_t num_heads = shape_.num_query_heads();
  num_words_ = (ragged_->max_visible_blocks() + 63) / 64;
  bits_.assign(int64_t{b.num_prompt_tiles} * num_heads * num_words_, kGarbage);
  counts_.assign(int64_t{b.num_prompt_tiles} * num_heads, -1);
  for (int32_t t = 0; t < b.num_prompt_tiles; ++t) {
    const Tile& tile = b.tiles[t];
    for (int32_t h = 0; h < num_heads; ++h) {
      std::mt19937_64 random(seeds[tile.sequence] * 1000003 + tile.block * 101 +
                             h);
      std::vector<uint64_t> words(num_words_, 0);
      int32_t count = 0;
      for (int32_t j = 0; j <= tile.block; ++j) {
        if (!Chooses(patterns[tile.sequence], j, tile.block, random)) continue;
        words[j / 64] |= uint64_t{1} << (j % 64);
        ++count;
      }
      const int64_t row = int64_t{t} * num_heads + h;
      counts_[row] = count;
      if (count == VisibleBlocks(tile)) continue;  // the bits stay garbage
      std::copy(words.begin(), words.end(), bits_.begin() + row * num_words_);
    }
  }
}

AttentionCase AttentionCase::Widened() const {
  AttentionCase wide = *this;
  wide.dtype_ = DType::kFloat32;
  wide.queries_ = TypedArray(DType::kFloat32, queries_.ToFloats());
  wide.pages_ = TypedArray(DType::kFloat32, pages_.ToFloats());
  return wide;
}

AttentionArgs AttentionCase::Args(TypedArray* out,
                                  std::vector<float>* log_sum_exp) const {
  AttentionArgs args;
  args.batch = batch();
  args.dtype = dtype_;
  args.num_query_heads = shape_.num_query_heads();
  args.queries = queries_.data();
  args.kv.pages = const_cast<void*>(pages_.data());
  args.kv.dtype = dtype_;
  args.kv.num_pages = ragged_->num_pages();
  args.kv.num_kv_heads = shape_.num_kv_heads;
  args.kv.head_dim = shape_.head_dim;
  if (!counts_.empty()) {
    args.sets.bits = const_cast<uint64_t*>(bits_.data());
    args.sets.counts = const_cast<int32_t*>(counts_.data());
    args.sets.num_words = num_words_;
    args.sets.num_query_heads = args.num_query_heads;
  }
  args.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_dim));
  args.out = out != nullptr ? out->data() : nullptr;
  args.log_sum_exp = log_sum_exp != nullptr ? log_sum_exp->data() : nullptr;
  return args;
}

TypedArray AttentionCase::UnwrittenOut() const {
  return TypedArray(dtype_, queries_.size(), kUnwritten);
}

std::vector<float> AttentionCase::UnwrittenLogSumExp() const {
  return std::vector<float>(
      int64_t{batch().num_rows} * shape_.num_query_heads(), kUnwritten);
}

::testing::AssertionResult WithinAttentionBudget(
    const AttentionArgs& args, const AttentionResult& fast,
    const AttentionResult& plain, const AttentionResult& reference) {
  const RaggedBatch& batch = args.batch;
  const int64_t width = int64_t{args.num_query_heads} * args.kv.head_dim;
  struct Bucket {
    std::vector<float> fast, plain, reference;
  };
  std::map<int, Bucket> buckets;
  for (int32_t t = 0; t < batch.num_tiles; ++t) {
    const Tile& tile = batch.tiles[t];
    Bucket& bucket = buckets[std::ilogb(VisibleBlocks(tile))];
    const auto append = [&](const AttentionResult& from,
                            std::vector<float>* to) {
      const auto rows = from.out.begin() + tile.row_begin * width;
      to->insert(to->end(), rows, rows + tile.num_rows * width);
    };
    append(fast, &bucket.fast);
    append(plain, &bucket.plain);
    append(reference, &bucket.reference);
  }
  for (const auto& [log2_blocks, bucket] : buckets) {
    const auto result = WithinErrorBudget(bucket.fast, bucket.plain,
                                          bucket.reference, args.dtype);
    if (!result) {
      return ::testing::AssertionFailure()
             << "out of tiles that see 2^" << log2_blocks
             << " blocks: " << result.message();
    }
  }
  const auto result = WithinErrorBudget(fast.log_sum_exp, plain.log_sum_exp,
                                        reference.log_sum_exp, DType::kFloat32);
  if (!result) {
    return ::testing::AssertionFailure() << "log_sum_exp: " << result.message();
  }
  return ::testing::AssertionSuccess();
}

}  // namespace seer
