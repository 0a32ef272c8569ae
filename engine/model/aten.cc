#include "engine/model/aten.h"

#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <new>

#include "absl/strings/match.h"
#include "base/logging.h"

namespace seer {
namespace {

bool IsOutOfMemory(const std::exception& e) {
  return dynamic_cast<const std::bad_alloc*>(&e) != nullptr ||
         dynamic_cast<const c10::OutOfMemoryError*>(&e) != nullptr ||
         // How ATen's allocator on the CPU words it: it has no type for this.
         absl::StrContains(e.what(), "DefaultCPUAllocator: ");
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
