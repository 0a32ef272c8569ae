#include "tests/testing/kernels/cuda/device_array.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "absl/base/internal/raw_logging.h"
#include "absl/strings/str_cat.h"

namespace seer {
namespace {

void Check(cudaError_t error) {
  if (error != cudaSuccess) {
    ABSL_RAW_LOG(FATAL, "CUDA: %s", cudaGetErrorString(error));
  }
}

}  // namespace

std::string MissingCudaDevice() {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  cudaDeviceProp properties;
  if (error == cudaSuccess) {
    error = cudaGetDeviceProperties(&properties, device);
  }
  if (error != cudaSuccess) {
    return absl::StrCat("no GPU: ", cudaGetErrorString(error));
  }
  if (properties.major != 9 || properties.minor != 0) {
    return absl::StrCat("a GPU of compute capability ", properties.major, ".",
                        properties.minor, ", want 9.0");
  }
  return "";
}

DeviceArray::DeviceArray(int64_t num_bytes) : num_bytes_(num_bytes) {
  Check(cudaMalloc(&data_, std::max<int64_t>(num_bytes, 1)));
  Check(cudaMemset(data_, 0xff, num_bytes));
}

DeviceArray::DeviceArray(const void* host, int64_t num_bytes)
    : DeviceArray(num_bytes) {
  if (num_bytes > 0) {
    Check(cudaMemcpy(data_, host, num_bytes, cudaMemcpyHostToDevice));
  }
}

DeviceArray::~DeviceArray() {
  if (data_ != nullptr) Check(cudaFree(data_));
}

DeviceArray::DeviceArray(DeviceArray&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      num_bytes_(std::exchange(other.num_bytes_, 0)) {}

void DeviceArray::CopyTo(void* host) const {
  Check(cudaDeviceSynchronize());
  if (num_bytes_ > 0) {
    Check(cudaMemcpy(host, data_, num_bytes_, cudaMemcpyDeviceToHost));
  }
}

void DeviceArray::EnqueueCopyOf(const DeviceArray& from,
                                CUstream_st* stream) const {
  Check(cudaMemcpyAsync(data_, from.data_, num_bytes_, cudaMemcpyDeviceToDevice,
                        stream));
}

}  // namespace seer
