#include "engine/device/transfer_buffer.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace seer {

absl::Status TransferBuffer::Reserve(size_t size) {
  // Steps grow by and by: not each of them is to allocate.
  constexpr size_t kLeastBytes = 1 << 16;
  if (size > on_device_.size()) {
    const size_t grown = std::max({size, 2 * on_device_.size(), kLeastBytes});
    SEER_ASSIGN_OR_RETURN(DeviceMemory memory, device_->Allocate(grown));
    if (on_device_.size() > 0) {
      SEER_RETURN_IF_ERROR(
          device_->Copy(memory.data(), on_device_.data(), on_device_.size()));
      SEER_RETURN_IF_ERROR(device_->Synchronize());
    }
    on_device_ = std::move(memory);
  }
  DeviceMemory& on_host = on_host_[turn_];
  if (!device_->shares_host_memory() && on_host.size() < size) {
    on_host = DeviceMemory();
    SEER_ASSIGN_OR_RETURN(on_host, device_->AllocateHost(on_device_.size()));
  }
  return absl::OkStatus();
}

char* TransferBuffer::host() const {
  return static_cast<char*>(
      (device_->shares_host_memory() ? on_device_ : on_host_[turn_]).data());
}

absl::Status TransferBuffer::Upload(size_t size) {
  if (device_->shares_host_memory()) return absl::OkStatus();
  return device_->Copy(device(), host(), size);
}

absl::Status TransferBuffer::Download(size_t size) {
  if (device_->shares_host_memory()) return absl::OkStatus();
  return device_->Copy(host(), device(), size);
}

}  // namespace seer
