// Whole sequences with their tokens' queries, keys and values, and the pages
// they fill step by step: what tests of the kernels behind qk_prepare run on.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_PAGED_SEQUENCES_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_PAGED_SEQUENCES_H_

#include <cstdint>
#include <vector>

#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/rope.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {

struct HeadShape {
  int32_t num_query_heads = 1;
  int32_t num_kv_heads = 1;
  int32_t head_dim = 64;

  int32_t group() const { return num_query_heads / num_kv_heads; }
};

// The tokens of one sequence before RoPE, as the dtype stores them.
struct SequenceTokens {
  int32_t len = 0;
  int32_t prompt_len = 0;
  std::vector<float> queries;  // [len, Hq, D]
  std::vector<float> keys;     // [len, Hk, D]
  std::vector<float> values;   // [len, Hk, D]
};

// Normal tokens; neighbours are correlated, as a model's are, so that blocks
// differ.
SequenceTokens RandomTokens(const HeadShape& shape, int32_t len,
                            int32_t prompt_len, DType dtype, uint64_t seed);

// The default model's: base 100000, not scaled.
RopeConfig PlainRope();

// The rows [begin, end) of sequence `sequence` in one step.
struct StepSlice {
  int32_t sequence = 0;
  int32_t begin = 0;
  int32_t end = 0;
};

// One step after QkPrepare. Slice i is the batch's sequence i.
struct PreparedStep {
  RaggedCase batch;
  TypedArray queries, keys, values;   // packed rows, before RoPE
  TypedArray roped_queries;           // [num_rows, Hq, D]
  std::vector<float> pooled_queries;  // [num_prompt_tiles, Hq, kNumPools, D]
};

// Sequences over one pool of pages, in shuffled order.
class PagedSequences {
 public:
  // `rope.head_dim` is set from the shape.
  PagedSequences(const HeadShape& shape, DType dtype,
                 std::vector<SequenceTokens> sequences, RopeConfig rope,
                 uint64_t seed);

  // Packs the slices and runs QkPrepare on them; the pages keep what it wrote.
  PreparedStep Prepare(Backend backend, const std::vector<StepSlice>& slices,
                       DeviceStream stream = {});
  // The whole prompt of every sequence.
  std::vector<StepSlice> WholePrompts() const;

  const HeadShape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  const std::vector<SequenceTokens>& sequences() const { return sequences_; }
  const std::vector<int32_t>& pages(int32_t sequence) const {
    return page_tables_[sequence];
  }
  PagedKv kv();
  RopeTable rope() const;

 private:
  HeadShape shape_;
  DType dtype_;
  std::vector<SequenceTokens> sequences_;
  std::vector<std::vector<int32_t>> page_tables_;
  int64_t num_pages_ = 0;
  TypedArray page_elements_;
  std::vector<float> pooled_keys_;
  std::vector<float> cos_, sin_;
};

// Sequences of random tokens, under PlainRope: prompts of these lengths and
// three tokens after each. Sequence i's tokens are drawn with seed
// `token_seed` + i, the order of the pages with `page_seed`.
PagedSequences RandomSequences(const HeadShape& shape, DType dtype,
                               const std::vector<int32_t>& prompt_lens,
                               uint64_t token_seed, uint64_t page_seed);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_PAGED_SEQUENCES_H_
