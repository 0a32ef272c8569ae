#include "tests/testing/kernels/cases/paged_sequences.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "absl/base/internal/raw_logging.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "tests/testing/kernels/host_calls.h"

namespace seer {
namespace {

constexpr float kUnwritten = std::numeric_limits<float>::quiet_NaN();

// Rows [begin, end) of a [len, width] array, at element `at` of `out`.
void CopyRows(const std::vector<float>& rows, int64_t width,
              const StepSlice& slice, int64_t at, TypedArray* out) {
  for (int64_t i = 0; i < (slice.end - slice.begin) * width; ++i) {
    out->Set(at + i, rows[slice.begin * width + i]);
  }
}

}  // namespace

SequenceTokens RandomTokens(const HeadShape& shape, int32_t len,
                            int32_t prompt_len, DType dtype, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const auto fill = [&](int64_t width) {
    std::vector<float> rows(len * width);
    for (int64_t i = 0; i < len * width; ++i) {
      const float fresh = normal(random);
      const float mixed =
          i < width ? fresh : 0.9f * rows[i - width] + 0.44f * fresh;
      rows[i] = RoundTo(dtype, mixed);
    }
    return rows;
  };
  SequenceTokens tokens;
  tokens.len = len;
  tokens.prompt_len = prompt_len;
  tokens.queries = fill(int64_t{shape.num_query_heads} * shape.head_dim);
  tokens.keys = fill(int64_t{shape.num_kv_heads} * shape.head_dim);
  tokens.values = fill(int64_t{shape.num_kv_heads} * shape.head_dim);
  return tokens;
}

PagedSequences::PagedSequences(const HeadShape& shape, DType dtype,
                               std::vector<SequenceTokens> sequences,
                               RopeConfig rope, uint64_t seed)
    : shape_(shape), dtype_(dtype), sequences_(std::move(sequences)) {
  int64_t num_used = 0;
  int32_t longest = 1;
  for (const SequenceTokens& s : sequences_) {
    num_used += NumBlocks(s.len);
    longest = std::max(longest, s.len);
  }
  num_pages_ = num_used + 2;
  std::vector<int32_t> order(num_pages_);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(seed);
  std::shuffle(order.begin(), order.end(), random);
  auto next = order.begin();
  for (const SequenceTokens& s : sequences_) {
    page_tables_.emplace_back(next, next + NumBlocks(s.len));
    next += NumBlocks(s.len);
  }
  const int64_t page_width = int64_t{shape.num_kv_heads} * shape.head_dim;
  page_elements_ =
      TypedArray(dtype, num_pages_ * 2 * kBlockSize * page_width, kUnwritten);
  pooled_keys_.assign(num_pages_ * kNumPools * page_width, kUnwritten);

  rope.head_dim = shape.head_dim;
  const auto frequencies = MakeRopeFrequencies(rope);
  ABSL_RAW_CHECK(frequencies.ok(), "no such rope");
  cos_.resize(int64_t{longest} * shape.head_dim / 2);
  sin_.resize(cos_.size());
  FillRopeTable(*frequencies, longest, cos_.data(), sin_.data());
}

PreparedStep PagedSequences::Prepare(Backend backend,
                                     const std::vector<StepSlice>& slices,
                                     DeviceStream stream) {
  std::vector<SliceSpec> specs;
  std::vector<std::vector<int32_t>> page_tables;
  for (const StepSlice& slice : slices) {
    specs.push_back({sequences_[slice.sequence].prompt_len, slice.begin,
                     slice.end - slice.begin});
    page_tables.push_back(page_tables_[slice.sequence]);
  }
  PreparedStep step{
      RaggedCase(specs, page_tables, num_pages_), {}, {}, {}, {}, {}};
  const RaggedBatch& batch = step.batch.batch();
  const int64_t query_width = int64_t{shape_.num_query_heads} * shape_.head_dim;
  const int64_t key_width = int64_t{shape_.num_kv_heads} * shape_.head_dim;
  step.queries = TypedArray(dtype_, batch.num_rows * query_width);
  step.keys = TypedArray(dtype_, batch.num_rows * key_width);
  step.values = TypedArray(dtype_, batch.num_rows * key_width);
  step.roped_queries =
      TypedArray(dtype_, batch.num_rows * query_width, kUnwritten);
  step.pooled_queries.assign(batch.num_prompt_tiles * query_width * kNumPools,
                             kUnwritten);
  for (size_t i = 0; i < slices.size(); ++i) {
    const SequenceTokens& tokens = sequences_[slices[i].sequence];
    const int64_t row = batch.sequences[i].row_begin;
    CopyRows(tokens.queries, query_width, slices[i], row * query_width,
             &step.queries);
    CopyRows(tokens.keys, key_width, slices[i], row * key_width, &step.keys);
    CopyRows(tokens.values, key_width, slices[i], row * key_width,
             &step.values);
  }
  QkPrepareArgs args;
  args.batch = batch;
  args.dtype = dtype_;
  args.num_query_heads = shape_.num_query_heads;
  args.queries = step.queries.data();
  args.keys = step.keys.data();
  args.values = step.values.data();
  args.rope = rope();
  args.roped_queries = step.roped_queries.data();
  args.kv = kv();
  args.pooled_queries = step.pooled_queries.data();
  const absl::Status status = QkPrepareFromHost(backend, args, stream);
  ABSL_RAW_CHECK(status.ok(), status.ToString().c_str());
  return step;
}

std::vector<StepSlice> PagedSequences::WholePrompts() const {
  std::vector<StepSlice> slices;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    slices.push_back({static_cast<int32_t>(i), 0, sequences_[i].prompt_len});
  }
  return slices;
}

PagedKv PagedSequences::kv() {
  PagedKv kv;
  kv.pages = page_elements_.data();
  kv.pooled_keys = pooled_keys_.data();
  kv.dtype = dtype_;
  kv.num_pages = num_pages_;
  kv.num_kv_heads = shape_.num_kv_heads;
  kv.head_dim = shape_.head_dim;
  return kv;
}

RopeTable PagedSequences::rope() const {
  RopeTable table;
  table.cos = cos_.data();
  table.sin = sin_.data();
  table.head_dim = shape_.head_dim;
  table.num_positions =
      static_cast<int64_t>(cos_.size()) / (shape_.head_dim / 2);
  return table;
}

RopeConfig PlainRope() {
  RopeConfig rope;
  rope.theta = 100000.0;
  return rope;
}

PagedSequences RandomSequences(const HeadShape& shape, DType dtype,
                               const std::vector<int32_t>& prompt_lens,
                               uint64_t token_seed, uint64_t page_seed) {
  std::vector<SequenceTokens> tokens;
  for (size_t i = 0; i < prompt_lens.size(); ++i) {
    tokens.push_back(RandomTokens(shape, prompt_lens[i] + 3, prompt_lens[i],
                                  dtype, token_seed + i));
  }
  return PagedSequences(shape, dtype, std::move(tokens), PlainRope(),
                        page_seed);
}

}  // namespace seer
