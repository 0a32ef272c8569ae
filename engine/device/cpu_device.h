// This machine's processor as a device.
#ifndef SEER_ENGINE_DEVICE_CPU_DEVICE_H_
#define SEER_ENGINE_DEVICE_CPU_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/thread/executor.h"
#include "engine/device/device.h"

namespace seer {

// Work is done when the call that asks for it returns. Memory is taken up as
// it is first written.
class CpuDevice : public Device {
 public:
  // `executor` runs the kernels; borrowed. Null: on the calling thread.
  explicit CpuDevice(Executor* executor) : executor_(executor) {}

  std::string name() const override { return "cpu"; }
  std::string description() const override;
  Backend backend() const override { return Backend::kCpu; }
  int index() const override { return 0; }
  absl::Status BindThisThread() override { return absl::OkStatus(); }
  DeviceStream stream() const override;
  bool shares_host_memory() const override { return true; }
  absl::StatusOr<DeviceMemory> Allocate(size_t size) override;
  absl::StatusOr<DeviceMemory> AllocateHost(size_t size) override;
  absl::Status Copy(void* to, const void* from, size_t size) override;
  absl::Status CopyRow(const DeviceTables& tables, size_t from,
                       size_t to) override;
  absl::Status Synchronize() override { return absl::OkStatus(); }
  absl::StatusOr<int64_t> FreeBytes() override;
  std::unique_ptr<DeviceClock> MakeClock() override;
  absl::StatusOr<std::unique_ptr<DeviceGraph>> Record(
      std::function<absl::Status()> enqueue) override;

 private:
  Executor* const executor_;
};

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_CPU_DEVICE_H_
