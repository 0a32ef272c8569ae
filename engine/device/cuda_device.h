// One NVIDIA GPU as a device. Only in builds with --config=cuda.
#ifndef SEER_ENGINE_DEVICE_CUDA_DEVICE_H_
#define SEER_ENGINE_DEVICE_CUDA_DEVICE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/device/device.h"

namespace seer {

// Why GPU number `index` cannot be used: FAILED_PRECONDITION, with a message
// for the operator. OK: OpenCudaDevice will work, but for its memory.
//
// LibTorch's GPU operators are not linked into the program: they are in
// libtorch_cuda.so, which this loads, so that one program runs on machines
// with and without them. Must have been called once before any operator of
// ATen runs: ATen looks only once whether it has a GPU.
absl::Status CheckCudaDevice(int index);

// A stream of its own on GPU number `index`, shared with ATen's operators.
// FAILED_PRECONDITION: as CheckCudaDevice. INTERNAL: the GPU does not answer.
absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice(int index);

}  // namespace seer

#endif  // SEER_ENGINE_DEVICE_CUDA_DEVICE_H_
