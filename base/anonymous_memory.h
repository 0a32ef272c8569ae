#ifndef SEER_BASE_ANONYMOUS_MEMORY_H_
#define SEER_BASE_ANONYMOUS_MEMORY_H_

#include <cstddef>

#include "absl/status/statusor.h"

namespace seer {

// Memory that reads as zeros and takes up RAM only where it was touched.
class AnonymousMemory {
 public:
  // Reserves `size` bytes; 0 reserves none. RESOURCE_EXHAUSTED: the system
  // has no such range.
  static absl::StatusOr<AnonymousMemory> Allocate(size_t size);

  AnonymousMemory() = default;
  AnonymousMemory(AnonymousMemory&& other) noexcept;
  AnonymousMemory& operator=(AnonymousMemory&& other) noexcept;
  ~AnonymousMemory();

  // Starts at a multiple of the page size; stays where it is when moved.
  void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  AnonymousMemory(void* data, size_t size) : data_(data), size_(size) {}

  void* data_ = nullptr;
  size_t size_ = 0;  // bytes
};

}  // namespace seer

#endif  // SEER_BASE_ANONYMOUS_MEMORY_H_
