#include "engine/model/aten/aten.h"

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>

#include "gtest/gtest.h"

namespace seer {
namespace {

constexpr c10::SourceLocation kHere = {"function", "file", 1};

absl::StatusCode CodeOf(const std::exception& e) {
  return StatusOfException("a test", e).code();
}

TEST(AtenTest, NoMemoryIsNoFault) {
  EXPECT_EQ(CodeOf(std::bad_alloc()), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(c10::OutOfMemoryError(kHere, "CUDA out of memory.")),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(
      CodeOf(c10::AcceleratorError(kHere, 2, "CUDA error: out of memory")),
      absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(c10::Error(kHere,
                              "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when "
                              "calling `cublasCreate(handle)`")),
            absl::StatusCode::kResourceExhausted);
}

TEST(AtenTest, AnythingElseIsAFault) {
  EXPECT_EQ(CodeOf(std::runtime_error("no")), absl::StatusCode::kInternal);
  EXPECT_EQ(
      CodeOf(c10::AcceleratorError(
          kHere, 700, "CUDA error: an illegal memory access was encountered")),
      absl::StatusCode::kInternal);
  EXPECT_EQ(CodeOf(c10::Error(kHere,
                              "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when "
                              "calling `cublasGemmEx(...)`")),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace seer
