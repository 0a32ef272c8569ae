// Where a kernel runs and what it runs on. Streams and threads are passed in:
// kernels own neither.
#ifndef SEER_KERNELS_DEVICE_H_
#define SEER_KERNELS_DEVICE_H_

#include "base/executor.h"

namespace seer {

// Which implementation of an op runs. All take pointers that are valid on
// their device: host memory for kReference and kCpu.
enum class Backend {
  kReference,  // obvious fp32 code; defines the answer; slow
  kCpu,        // vectorized, threaded; picks the instruction set at run time
};

// The execution resources of one call. On the CPU a call returns when its work
// is done.
struct DeviceStream {
  Executor* executor = nullptr;  // borrowed; null runs on the calling thread
};

}  // namespace seer

#endif  // SEER_KERNELS_DEVICE_H_
