#include <cstdint>

#include "tests/testing/kernels/cuda/device_fault.h"

namespace seer {
namespace {

__global__ void Write(volatile int* address) { *address = 1; }

__global__ void Trap() { __trap(); }

}  // namespace

bool EnqueueFault(DeviceFault fault, CUstream_st* stream) {
  if (fault == DeviceFault::kTrap) {
    Trap<<<1, 1, 0, stream>>>();
  } else {
    Write<<<1, 1, 0, stream>>>(reinterpret_cast<int*>(uintptr_t{4096}));
  }
  return cudaGetLastError() == cudaSuccess;
}

}  // namespace seer
