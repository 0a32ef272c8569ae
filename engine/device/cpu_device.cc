#include "engine/device/cpu_device.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/anonymous_memory.h"
#include "base/status_macros.h"

namespace seer {
namespace {

// Of a clock that is never set: the time of day may be, in between.
class CpuClock final : public DeviceClock {
 public:
  explicit CpuClock(Device* device) : device_(device) {}

  void Reset() override { points_.clear(); }
  int Mark() override {
    points_.push_back(std::chrono::steady_clock::now());
    return static_cast<int>(points_.size()) - 1;
  }
  absl::Status Wait() override { return device_->Synchronize(); }
  absl::Duration Between(int begin, int end) const override {
    return std::max(absl::ZeroDuration(),
                    absl::FromChrono(points_[end] - points_[begin]));
  }

 private:
  Device* const device_;
  std::vector<std::chrono::steady_clock::time_point> points_;
};

// Does it all again.
class CpuGraph final : public DeviceGraph {
 public:
  explicit CpuGraph(std::function<absl::Status()> enqueue)
      : enqueue_(std::move(enqueue)) {}
  absl::Status Enqueue() override { return enqueue_(); }

 private:
  const std::function<absl::Status()> enqueue_;
};

}  // namespace

std::string CpuDevice::description() const {
  const int threads = executor_ == nullptr ? 1 : executor_->num_threads();
  return absl::StrCat("the processor, ", threads, " threads");
}

DeviceStream CpuDevice::stream() const {
  DeviceStream stream;
  stream.executor = executor_;
  return stream;
}

absl::StatusOr<DeviceMemory> CpuDevice::Allocate(size_t size) {
  SEER_ASSIGN_OR_RETURN(AnonymousMemory memory,
                        AnonymousMemory::Allocate(size));
  void* const data = memory.data();
  auto owned = std::make_shared<AnonymousMemory>(std::move(memory));
  return DeviceMemory(data, size,
                      [owned](void*, size_t) mutable { owned.reset(); });
}

absl::StatusOr<DeviceMemory> CpuDevice::AllocateHost(size_t size) {
  return Allocate(size);
}

absl::Status CpuDevice::Copy(void* to, const void* from, size_t size) {
  std::memcpy(to, from, size);
  return absl::OkStatus();
}

absl::Status CpuDevice::CopyRow(const DeviceTables& tables, size_t from,
                                size_t to) {
  char* table = static_cast<char*>(tables.data);
  for (size_t i = 0; i < tables.num_tables; ++i) {
    std::memmove(table + to * tables.row_bytes, table + from * tables.row_bytes,
                 tables.row_bytes);
    table += tables.num_rows * tables.row_bytes;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CpuDevice::FreeBytes() {
  return absl::UnimplementedError("the CPU's memory is the host's");
}

absl::StatusOr<std::unique_ptr<DeviceGraph>> CpuDevice::Record(
    std::function<absl::Status()> enqueue) {
  return std::make_unique<CpuGraph>(std::move(enqueue));
}

std::unique_ptr<DeviceClock> CpuDevice::MakeClock() {
  return std::make_unique<CpuClock>(this);
}

}  // namespace seer
