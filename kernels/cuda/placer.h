// Arrays in a workspace.
#ifndef SEER_KERNELS_CUDA_PLACER_H_
#define SEER_KERNELS_CUDA_PLACER_H_

#include <cstdint>

namespace seer {
namespace cuda {

// Places of arrays one after the other in DeviceStream::workspace.
class Placer {
 public:
  explicit Placer(void* workspace) : base_(static_cast<char*>(workspace)) {}

  // Null where there is no workspace: sizes are counted all the same.
  template <class T>
  T* Place(int64_t count) {
    const int64_t at = bytes_;
    bytes_ +=
        (count * int64_t{sizeof(T)} + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  // Of all arrays so far.
  int64_t bytes() const { return bytes_; }

 private:
  static constexpr int64_t kAlignment = 256;
  char* const base_;
  int64_t bytes_ = 0;
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_PLACER_H_
