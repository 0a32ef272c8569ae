#include "engine/device/open_device.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/device/cpu_device.h"
#ifdef SEER_CUDA
#include "engine/device/cuda_device.h"
#endif

namespace seer {
namespace {

// The GPU's number in "cuda" or "cuda:N"; nullopt: no such name.
std::optional<int> CudaIndex(absl::string_view name) {
  if (name == "cuda") return 0;
  int index = 0;
  if (!absl::ConsumePrefix(&name, "cuda:") || name.empty() || name.size() > 3 ||
      !absl::ascii_isdigit(name[0]) || !absl::SimpleAtoi(name, &index)) {
    return std::nullopt;
  }
  return index;
}

#ifndef SEER_CUDA
absl::Status CheckCudaDevice(int) {
  return absl::FailedPreconditionError(
      "this program was built without the GPU's backend");
}

absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice(int index) {
  return CheckCudaDevice(index);
}
#endif

absl::StatusOr<std::unique_ptr<Device>> Logged(
    absl::StatusOr<std::unique_ptr<Device>> device, absl::string_view asked,
    absl::string_view why) {
  if (device.ok()) {
    Log(LogLevel::kInfo, "device opened",
        {{"asked", asked},
         {"name", (*device)->name()},
         {"description", (*device)->description()},
         {"why", why}});
  }
  return device;
}

}  // namespace

absl::Status CheckDeviceName(absl::string_view name) {
  if (name == "auto" || name == "cpu" || CudaIndex(name).has_value()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "device must be auto, cpu, cuda or cuda:N, is \"", name, "\""));
}

absl::Status CheckDevice(absl::string_view name) {
  SEER_RETURN_IF_ERROR(CheckDeviceName(name));
  const std::optional<int> index = CudaIndex(name);
  return index.has_value() ? CheckCudaDevice(*index) : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(absl::string_view name,
                                                   Executor* executor) {
  SEER_RETURN_IF_ERROR(CheckDeviceName(name));
  if (const std::optional<int> index = CudaIndex(name); index.has_value()) {
    return Logged(OpenCudaDevice(*index), name, "it was asked for");
  }
  if (name == "auto") {
    const absl::Status gpu = CheckCudaDevice(0);
    if (gpu.ok()) return Logged(OpenCudaDevice(0), name, "there is a GPU");
    return Logged(std::make_unique<CpuDevice>(executor), name, gpu.message());
  }
  return Logged(std::make_unique<CpuDevice>(executor), name,
                "it was asked for");
}

}  // namespace seer
