#include "tests/testing/kernels/error_budget.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace seer {
namespace {

// Bits of the significand, the leading one included.
int SignificandBits(DType dtype) { return dtype == DType::kFloat32 ? 24 : 8; }

constexpr int kMinNormalExponent = -126;  // of fp32 and bf16 alike

}  // namespace

double HalfUlp(double value, DType dtype) {
  if (value == 0.0) return 0.0;
  const int exponent = std::max(std::ilogb(value), kMinNormalExponent);
  return std::ldexp(1.0, exponent - SignificandBits(dtype));
}

::testing::AssertionResult WithinErrorBudget(absl::Span<const float> fast,
                                             absl::Span<const float> plain,
                                             absl::Span<const float> reference,
                                             DType dtype) {
  if (fast.size() != reference.size() || plain.size() != reference.size()) {
    return ::testing::AssertionFailure()
           << "sizes differ: fast " << fast.size() << ", plain " << plain.size()
           << ", reference " << reference.size();
  }
  double plain_error = 0.0;
  double largest = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    if (!std::isfinite(reference[i])) continue;
    if (!std::isfinite(plain[i])) {
      return ::testing::AssertionFailure()
             << "the plain result [" << i << "] is " << plain[i]
             << ": no budget follows from it";
    }
    plain_error =
        std::max(plain_error, std::abs(double{plain[i]} - reference[i]));
    largest = std::max(largest, std::abs(double{reference[i]}));
  }
  const double budget = 2.0 * plain_error + HalfUlp(largest, dtype);

  double worst_error = -1.0;
  size_t worst = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    if (std::isinf(reference[i]) && fast[i] == reference[i]) continue;
    const double error = std::abs(double{fast[i]} - reference[i]);
    if (!std::isfinite(error)) {
      return ::testing::AssertionFailure() << "[" << i << "]: fast " << fast[i]
                                           << ", reference " << reference[i];
    }
    if (error > worst_error) {
      worst_error = error;
      worst = i;
    }
  }
  if (worst_error <= budget) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "[" << worst << "]: fast " << fast[worst] << ", reference "
         << reference[worst] << ", error " << worst_error << " > budget "
         << budget << " (plain error " << plain_error << ", largest magnitude "
         << largest << ")";
}

}  // namespace seer
