#include "engine/model/aten/aten.h"

#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <new>

#include "absl/strings/match.h"
#include "base/logging.h"

namespace seer {
namespace {

// An error of the CUDA runtime: beside ATen's own allocator, the loading of a
// kernel at its first use takes memory.
bool IsCudaMemoryAllocation(const std::exception& e) {
  constexpr int32_t kCudaErrorMemoryAllocation = 2;
  const auto* error = dynamic_cast<const c10::AcceleratorError*>(&e);
  return error != nullptr &&
         error->get_error_code() == kCudaErrorMemoryAllocation;
}

bool IsOutOfMemory(const std::exception& e) {
  return dynamic_cast<const std::bad_alloc*>(&e) != nullptr ||
         dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr ||
         IsCudaMemoryAllocation(e) ||
         // How ATen's allocator on the CPU and its calls of cuBLAS word it:
         // they have no type for this.
         absl::StrContains(e.what(), "DefaultCPUAllocator: ") ||
         absl::StrContains(e.what(), "CUBLAS_STATUS_ALLOC_FAILED");
}

}  // namespace

at::ScalarType ScalarTypeOf(DType dtype) {
  return dtype == DType::kFloat32 ? at::kFloat : at::kBFloat16;
}

at::Device AtenDevice(const Device& device) {
  if (device.backend() != Backend::kCuda) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device.index()));
}

at::Tensor ViewOf(const void* data, at::IntArrayRef shape, at::ScalarType type,
                  const Device& device) {
  return at::for_blob(const_cast<void*>(data), shape)
      .options(at::TensorOptions(type).device(AtenDevice(device)))
      .target_device(AtenDevice(device))
      .make_tensor();
}

absl::Status StatusOfException(const char* doing, const std::exception& e) {
  if (IsOutOfMemory(e)) return absl::ResourceExhaustedError("out of memory");
  Log(LogLevel::kError, "operator failed",
      {{"while", doing}, {"what", e.what()}});
  return absl::InternalError("an operator of the model failed");
}

}  // namespace seer
