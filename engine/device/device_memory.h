#ifndef SEER_ENGINE_DEVICE_DEVICE_MEMORY_H_
#define SEER_ENGINE_DEVICE_DEVICE_MEMORY_H_

#include <cstddef>
#include <functional>
#include <utility>

namespace seer {

// A range of some device's memory, freed with this object. Movable; the range
// stays where it is.
class DeviceMemory {
 public:
  using Release = std::function<void(void* data, size_t size)>;

  // None.
  DeviceMemory() = default;
  DeviceMemory(void* data, size_t size, Release release)
      : data_(data), size_(size), release_(std::move(release)) {}
  DeviceMemory(DeviceMemory&& other) noexcept { Swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    DeviceMemory(std::move(other)).Swap(*this);
    return *this;
  }
  ~DeviceMemory() {
    if (data_ != nullptr) release_(data_, size_);
  }

  void* data() const { return data_; }
  size_t size() const { return size_; }  // bytes

 private:
  void Swap(DeviceMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(release_, other.release_);
  }

  void* data_ = nullptr;
  size_t size_ = 0;
  Release release_;
};

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_DEVICE_MEMORY_H_
