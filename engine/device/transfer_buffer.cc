#include "engine/device/transfer_buffer.h"

#include <algorithm>

#include "base/status_macros.h"

namespace seer {

absl::Status TransferBuffer::Reserve(size_t size) {
  if (size <= on_device_.size()) return absl::OkStatus();
  // Steps grow by and by: not each of them is to allocate.
  constexpr size_t kLeastBytes = 1 << 16;
  size = std::max({size, 2 * on_device_.size(), kLeastBytes});
  on_device_ = DeviceMemory();
  on_host_ = DeviceMemory();
  if (!device_->shares_host_memory()) {
    SEER_ASSIGN_OR_RETURN(on_host_, device_->AllocateHost(size));
  }
  SEER_ASSIGN_OR_RETURN(on_device_, device_->Allocate(size));
  return absl::OkStatus();
}

char* TransferBuffer::host() const {
  return static_cast<char*>(
      (device_->shares_host_memory() ? on_device_ : on_host_).data());
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
