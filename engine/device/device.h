// What the engine computes on: this machine's processor, or one GPU.
#ifndef SEER_ENGINE_DEVICE_DEVICE_H_
#define SEER_ENGINE_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/device/device_memory.h"
#include "kernels/device.h"

namespace seer {

// Points in the work of a device, and the time between them.
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;

  // Forgets all points.
  virtual void Reset() = 0;

  // Sets a point behind the work enqueued so far. Returns its number, from 0.
  virtual int Mark() = 0;

  // Waits for the work before the last point; with no point, for nothing. What
  // was enqueued later goes on.
  virtual absl::Status Wait() = 0;

  // From one point to a later one, both waited for. Zero where the device could
  // not tell.
  virtual absl::Duration Between(int begin, int end) const = 0;
};

// Work that was recorded once, to be enqueued as a whole. Borrows the device.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;

  // Enqueues the work as it was recorded: the same kernels with the same
  // arguments, on what memory then holds.
  virtual absl::Status Enqueue() = 0;
};

// Tables of rows of bytes, one after the other: [num_tables, num_rows,
// row_bytes].
struct DeviceTables {
  void* data = nullptr;
  size_t num_tables = 0;
  size_t num_rows = 0;
  size_t row_bytes = 0;
};

// Work is done in the order in which it was enqueued, whether through kernels,
// ATen's operators or this class. On a GPU a call that enqueues does not wait
// for the work, and an error of the work shows at a later call; an INTERNAL
// error means that the device is of no further use to this process, and
// RESOURCE_EXHAUSTED, from any call, that there was no memory for this one.
//
// One thread at a time. Outlives what was allocated from it.
class Device {
 public:
  virtual ~Device() = default;

  // "cpu", or "cuda:0" with the GPU's number.
  virtual std::string name() const = 0;
  // What it is, for logs: "NVIDIA H100 80GB HBM3".
  virtual std::string description() const = 0;

  virtual Backend backend() const = 0;
  // Among devices of its kind; 0 on the CPU.
  virtual int index() const = 0;

  // To be called by a thread before it enqueues anything.
  virtual absl::Status BindThisThread() = 0;

  // What kernels run on; without a workspace.
  virtual DeviceStream stream() const = 0;

  // Whether memory of the device is the host's own.
  virtual bool shares_host_memory() const = 0;

  // Memory of the device that reads as zeros, aligned to 256 bytes; 0 bytes
  // are none. RESOURCE_EXHAUSTED: there is not so much.
  virtual absl::StatusOr<DeviceMemory> Allocate(size_t size) = 0;

  // Memory of the host, zeros, that Copy moves fast and without waiting.
  virtual absl::StatusOr<DeviceMemory> AllocateHost(size_t size) = 0;

  // Enqueues a copy within the device's memory or between it and the host's,
  // which must stay as it is until the copy is waited for.
  virtual absl::Status Copy(void* to, const void* from, size_t size) = 0;

  // Enqueues the copy of row `from` over row `to` in each of the tables, which
  // are in the device's memory.
  virtual absl::Status CopyRow(const DeviceTables& tables, size_t from,
                               size_t to) = 0;

  // Waits for all work.
  virtual absl::Status Synchronize() = 0;

  // Memory that Allocate could still give. UNIMPLEMENTED: it is the host's.
  virtual absl::StatusOr<int64_t> FreeBytes() = 0;

  virtual std::unique_ptr<DeviceClock> MakeClock() = 0;

  // Records what `enqueue` enqueues, without any of it being done. It must not
  // wait for the device, allocate its memory or use a clock, and the libraries
  // it calls must have what they need, as they do once the same work was
  // enqueued. Called now or by each Enqueue, so what it refers to must outlive
  // the graph. Any error: it failed, and may be enqueued as it is.
  virtual absl::StatusOr<std::unique_ptr<DeviceGraph>> Record(
      std::function<absl::Status()> enqueue) = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_DEVICE_H_
