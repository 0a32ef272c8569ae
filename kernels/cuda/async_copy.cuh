// Copies from global to shared memory that go on while the thread does.
#ifndef SEER_KERNELS_CUDA_ASYNC_COPY_CUH_
#define SEER_KERNELS_CUDA_ASYNC_COPY_CUH_

#include <cstdint>

namespace seer {
namespace cuda {

// Where something in shared memory is, as copies and matrix loads name it.
__device__ __forceinline__ uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Starts to copy 16 bytes to a SharedAddress, both multiples of 16.
__device__ __forceinline__ void CopyAsync(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from)
               : "memory");
}
// The same; unless `exists`, `from` is not read and the copy is zeros.
__device__ __forceinline__ void CopyAsyncOrZero(uint32_t to, const void* from,
                                                bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(from), "r"(exists ? 16 : 0)
               : "memory");
}

// Closes the group of the copies that the thread has started since the last.
__device__ __forceinline__ void CommitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Until all but the last kGroups groups of the thread are there, for itself.
template <int kGroups>
__device__ __forceinline__ void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_ASYNC_COPY_CUH_
