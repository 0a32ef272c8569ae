// Devices by the names that users give them.
#ifndef SEER_ENGINE_DEVICE_OPEN_DEVICE_H_
#define SEER_ENGINE_DEVICE_OPEN_DEVICE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/thread/executor.h"
#include "engine/device/device.h"

namespace seer {

// INVALID_ARGUMENT unless `name` is "auto", "cpu", "cuda" (the first GPU) or
// "cuda:N".
absl::Status CheckDeviceName(absl::string_view name);

// OK: OpenDevice would find this device. FAILED_PRECONDITION says why not:
// the build, the GPU or LibTorch's GPU library is not there.
absl::Status CheckDevice(absl::string_view name);

// Opens a device. "auto" is the first GPU where CheckDevice finds one, else the
// CPU; the log says which, and why. `executor` runs the CPU's kernels;
// borrowed. To be called before any operator of ATen runs.
// INVALID_ARGUMENT, FAILED_PRECONDITION: as above. INTERNAL: the GPU does not
// answer.
absl::StatusOr<std::unique_ptr<Device>> OpenDevice(absl::string_view name,
                                                   Executor* executor);

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_OPEN_DEVICE_H_
