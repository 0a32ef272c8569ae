// ATen's words for ours.
#ifndef SEER_ENGINE_MODEL_ATEN_ATEN_H_
#define SEER_ENGINE_MODEL_ATEN_ATEN_H_

#include <ATen/core/Tensor.h>

#include <exception>

#include "absl/status/status.h"
#include "engine/device/device.h"
#include "kernels/dtype.h"

namespace seer {

at::ScalarType ScalarTypeOf(DType dtype);

// Where `device` has its tensors.
at::Device AtenDevice(const Device& device);

// A tensor over memory of `device`, which is borrowed.
at::Tensor ViewOf(const void* data, at::IntArrayRef shape, at::ScalarType type,
                  const Device& device);

// The status of what was thrown, which is logged; `doing` says where.
// RESOURCE_EXHAUSTED: memory of the host or the device ran out. INTERNAL:
// anything else.
absl::Status StatusOfException(const char* doing, const std::exception& e);

// Calls `fn`, which returns a Status or a StatusOr. What it throws becomes a
// status here, and nowhere else in the model.
template <typename Fn>
auto CatchingExceptions(const char* doing, Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::exception& e) {
    return StatusOfException(doing, e);
  }
}

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_ATEN_ATEN_H_
