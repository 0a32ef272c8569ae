// Real faults of a GPU. What has faulted is of no more use to its process, so a
// test that wants one runs in a process of its own.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_FAULT_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_FAULT_H_

struct CUstream_st;  // what a cudaStream_t points to

namespace seer {

enum class DeviceFault {
  kUnmappedAddress,  // a write where nothing is
  kTrap,             // as of a failed assertion
};

// Enqueues a kernel that faults when it runs; `stream` null: on the default
// one. Whether it could, as it can before the fault.
bool EnqueueFault(DeviceFault fault, CUstream_st* stream);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_FAULT_H_
