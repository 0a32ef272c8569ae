// One random step for tests of attention: a ragged batch, its queries, the
// pages it reads and the block sets of its prompt tiles.
#ifndef SEER_TESTS_TESTING_KERNELS_CASES_ATTENTION_CASE_H_
#define SEER_TESTS_TESTING_KERNELS_CASES_ATTENTION_CASE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention/attention.h"
#include "kernels/dtype.h"
#include "tests/testing/kernels/cases/ragged_case.h"
#include "tests/testing/kernels/typed_array.h"

namespace seer {

// How a sequence's prompt tiles choose blocks.
enum class SetPattern {
  kAll,         // count = visible, the bits unwritten
  kSparse,      // about a third of the visible blocks, among them the diagonal
  kNoDiagonal,  // about a third, never the diagonal; so tile 0 reads nothing
  kEmpty,       // nothing
};

struct AttentionShape {
  int32_t num_kv_heads = 1;
  int32_t group = 1;
  int32_t head_dim = 64;

  int32_t num_query_heads() const { return num_kv_heads * group; }
};

// Results in fp32, whatever they were stored as.
struct AttentionResult {
  std::vector<float> out;          // [num_rows, Hq, D]
  std::vector<float> log_sum_exp;  // [num_rows, Hq]
};

// Everything that attention must not read is NaN or garbage: tokens
// past a sequence's last, unused pages, the bits of full sets.
class AttentionCase {
 public:
  // patterns[i] is for slice i; none: no sets at all. A slice's values depend
  // on its own spec, its index in `seeds` and the shape only, so that the same
  // tokens can be laid out in several batches.
  AttentionCase(const AttentionShape& shape, DType dtype,
                const std::vector<SliceSpec>& specs,
                const std::vector<SetPattern>& patterns,
                const std::vector<uint64_t>& seeds);

  // The same values in fp32.
  AttentionCase Widened() const;

  // Arguments that read this case, with outputs to fill.
  AttentionArgs Args(TypedArray* out, std::vector<float>* log_sum_exp) const;

  const RaggedBatch& batch() const { return ragged_->batch(); }
  const AttentionShape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }

  // Runs `attend(args)` on fresh outputs, which start as NaN.
  template <class Fn>
  AttentionResult Run(const Fn& attend) const {
    AttentionResult result;
    TypedArray out = UnwrittenOut();
    result.log_sum_exp = UnwrittenLogSumExp();
    attend(Args(&out, &result.log_sum_exp));
    result.out = out.ToFloats();
    return result;
  }

 private:
  TypedArray UnwrittenOut() const;
  std::vector<float> UnwrittenLogSumExp() const;
  void FillSequence(int32_t sequence, uint64_t seed);
  void FillSets(const std::vector<SetPattern>& patterns,
                const std::vector<uint64_t>& seeds);

  AttentionShape shape_;
  DType dtype_;
  std::shared_ptr<const RaggedCase> ragged_;  // copies read the same batch
  TypedArray queries_;                        // [num_rows, Hq, D]
  TypedArray pages_;                          // [num_pages, 2, Hk, 64, D]
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  int32_t num_words_ = 0;
};

// Whether `fast` is within the error budget of `reference` (from the same
// values in fp32), given what AttendPlainly makes of it. Outputs are compared
// by tiles whose rows see alike many blocks, log2, since averages over more
// values are smaller; log-sum-exps all together.
::testing::AssertionResult WithinAttentionBudget(
    const AttentionArgs& args, const AttentionResult& fast,
    const AttentionResult& plain, const AttentionResult& reference);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CASES_ATTENTION_CASE_H_
