#ifndef SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_
#define SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "engine/device/device.h"
#include "engine/device/device_memory.h"

namespace seer {

// Bytes that the host writes for a device, or a device for the host, moved by
// one copy. Where the host shares the device's memory there is one place and
// no copy.
//
//   SEER_RETURN_IF_ERROR(buffer.Reserve(sizeof(int32_t)));
//   std::memcpy(buffer.host(), &value, sizeof(value));
//   SEER_RETURN_IF_ERROR(buffer.Upload(sizeof(value)));
//   args.pointer = buffer.device();
class TransferBuffer {
 public:
  // Borrows the device.
  explicit TransferBuffer(Device* device) : device_(device) {}

  // Room for at least `size` bytes; contents and pointers do not survive it.
  // The device must be done with both sides. RESOURCE_EXHAUSTED: no memory.
  absl::Status Reserve(size_t size);

  // Where the host and the device find the bytes; aligned to 256 bytes.
  char* host() const;
  char* device() const { return static_cast<char*>(on_device_.data()); }

  // Enqueues the copy of the first `size` bytes, reserved before, to the
  // device or to the host. Until Device::Synchronize the side that is read
  // must not change.
  absl::Status Upload(size_t size);
  absl::Status Download(size_t size);

 private:
  Device* const device_;
  DeviceMemory on_device_;
  DeviceMemory on_host_;  // none where the host shares the device's memory
};

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_
