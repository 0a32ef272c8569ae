// The CPU as if it were a card of its own: what a GPU asks of the engine,
// where there is none.
#ifndef SEER_TESTS_TESTING_ENGINE_SPLIT_DEVICE_H_
#define SEER_TESTS_TESTING_ENGINE_SPLIT_DEVICE_H_

#include <cstddef>
#include <functional>
#include <set>

#include "absl/status/status.h"
#include "engine/device/cpu_device.h"

namespace seer {

// Its memory is not the host's: what the host has written for it is there only
// after a copy, which ruins the original.
class SplitDevice : public CpuDevice {
 public:
  using CpuDevice::CpuDevice;

  std::string name() const override { return "split"; }
  bool shares_host_memory() const override { return false; }
  absl::StatusOr<DeviceMemory> AllocateHost(size_t size) override;
  absl::Status Copy(void* to, const void* from, size_t size) override;
  absl::Status CopyRow(const DeviceTables& tables, size_t from,
                       size_t to) override;
  absl::Status Synchronize() override { return error_; }

  // Called before each copy of what the host has written: in every step, once.
  void set_on_upload(std::function<void()> on_upload) {
    on_upload_ = std::move(on_upload);
  }

  // Work fails from now on, as after a fault of a GPU; `error` OK: no more.
  void FailWith(absl::Status error) { error_ = std::move(error); }

  // Copies from and to memory of AllocateHost so far.
  int num_uploads() const { return num_uploads_; }
  int num_downloads() const { return num_downloads_; }

 private:
  bool IsStaging(const void* data) const { return staging_.count(data) != 0; }

  std::function<void()> on_upload_;
  absl::Status error_;
  std::set<const void*> staging_;  // where the memory of AllocateHost begins
  int num_uploads_ = 0;
  int num_downloads_ = 0;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_SPLIT_DEVICE_H_
