#include "tests/testing/engine/split_device.h"

#include <cstring>
#include <utility>

#include "base/status_macros.h"

namespace seer {

absl::StatusOr<DeviceMemory> SplitDevice::AllocateHost(size_t size) {
  SEER_ASSIGN_OR_RETURN(DeviceMemory memory, CpuDevice::AllocateHost(size));
  staging_.insert(memory.data());
  return memory;
}

absl::Status SplitDevice::Copy(void* to, const void* from, size_t size) {
  if (IsStaging(from) && on_upload_) on_upload_();
  if (!error_.ok()) return error_;
  std::memmove(to, from, size);
  if (IsStaging(from)) {
    ++num_uploads_;
    std::memset(const_cast<void*>(from), 0xa5, size);
  }
  if (IsStaging(to)) ++num_downloads_;
  return absl::OkStatus();
}

absl::Status SplitDevice::CopyRow(const DeviceTables& tables, size_t from,
                                  size_t to) {
  if (!error_.ok()) return error_;
  return CpuDevice::CopyRow(tables, from, to);
}

}  // namespace seer
