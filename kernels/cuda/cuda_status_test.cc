#include "kernels/cuda/cuda_status.h"

#include <cstddef>
#include <limits>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(CudaStatusTest, SuccessIsOk) {
  EXPECT_TRUE(CudaStatus("op", cudaSuccess).ok());
}

TEST(CudaStatusTest, NoMemoryIsNoFault) {
  EXPECT_EQ(CudaStatus("op", cudaErrorMemoryAllocation),
            absl::ResourceExhaustedError("op: out of memory"));
}

TEST(CudaStatusTest, AnyOtherErrorIsAFault) {
  for (const cudaError_t error :
       {cudaErrorIllegalAddress, cudaErrorLaunchFailure,
        cudaErrorLaunchOutOfResources, cudaErrorInvalidValue}) {
    const absl::Status status = CudaStatus("op", error);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  }
}

TEST(CudaStatusTest, TheErrorIsForgotten) {
  int num_devices = 0;
  const cudaError_t missing = cudaGetDeviceCount(&num_devices);
  if (missing != cudaSuccess) {
    GTEST_SKIP() << "no GPU: " << cudaGetErrorString(missing);
  }
  void* data = nullptr;
  const cudaError_t error =
      cudaMalloc(&data, std::numeric_limits<size_t>::max() / 2);
  ASSERT_EQ(error, cudaErrorMemoryAllocation);
  ASSERT_EQ(cudaPeekAtLastError(), error);
  EXPECT_EQ(CudaStatus("op", error).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
}

}  // namespace
}  // namespace seer
