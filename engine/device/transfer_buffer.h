#ifndef SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_
#define SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_

#include <array>
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

  // The host's side has two places, so that one can be written or read while a
  // copy from or to the other is under way: goes over to the other one. Where
  // the host shares the device's memory there is still only one.
  void Turn() { turn_ = 1 - turn_; }

  // Room for at least `size` bytes on the device and at the host's place of
  // this turn, with which the device must be done. What the device holds moves
  // along to where it then is; the host's bytes of this turn are lost.
  // RESOURCE_EXHAUSTED: no memory.
  absl::Status Reserve(size_t size);

  // Where the host and the device find the bytes; aligned to 256 bytes.
  char* host() const;
  char* device() const { return static_cast<char*>(on_device_.data()); }

  // Enqueues the copy of the first `size` bytes, reserved before, to the
  // device or to the host. Until it is done the side that is read must not
  // change.
  absl::Status Upload(size_t size);
  absl::Status Download(size_t size);

 private:
  Device* const device_;
  DeviceMemory on_device_;
  // None where the host shares the device's memory.
  std::array<DeviceMemory, 2> on_host_;
  int turn_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_TRANSFER_BUFFER_H_
