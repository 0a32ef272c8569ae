// The one error budget of kernel tests:
//
//   |fast - reference| <= 2 * |plain - reference| + rounding
//
// reference: the op in fp32 or wider. plain: the same op as the plainest code
// in the kernel's own precision would compute it, every intermediate result
// rounded to the dtype. Neither number is typed in: both follow from the case.
#ifndef SEER_TESTS_TESTING_KERNELS_ERROR_BUDGET_H_
#define SEER_TESTS_TESTING_KERNELS_ERROR_BUDGET_H_

#include <cstdint>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"

namespace seer {

// Half a unit in the last place of `value` in `dtype`: what storing the exact
// result may change. 0 for 0; at least the dtype's smallest normal's.
double HalfUlp(double value, DType dtype);

// Whether every element of `fast` is within the budget of the case. The three
// spans have one size and one order. `plain`'s error is its largest over the
// span (one element's may be 0 by chance); rounding is HalfUlp of the
// reference's largest finite magnitude, so pass together what has one scale.
// Where the reference is infinite, `fast` must be equal; a NaN of `fast` or
// `reference` is never within.
//
// `dtype` is the type that `fast` was stored as: kFloat32 for results that a
// kernel keeps in fp32, whatever its inputs.
//
//   EXPECT_TRUE(WithinErrorBudget(fast, plain, reference, DType::kBFloat16));
::testing::AssertionResult WithinErrorBudget(absl::Span<const float> fast,
                                             absl::Span<const float> plain,
                                             absl::Span<const float> reference,
                                             DType dtype);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_ERROR_BUDGET_H_
