// Where a kernel runs and what it runs on. Streams and threads are passed in:
// kernels own neither.
#ifndef SEER_KERNELS_DEVICE_H_
#define SEER_KERNELS_DEVICE_H_

#include <cstdint>

#include "base/thread/executor.h"

struct CUstream_st;  // what a cudaStream_t points to

namespace seer {

// Which implementation of an op runs. All take pointers that are valid on
// their device: host memory for kReference and kCpu, the current GPU's for
// kCuda. What kCuda finds behind a pointer is not checked.
enum class Backend {
  kReference,  // obvious fp32 code; defines the answer; slow
  kCpu,        // vectorized, threaded; picks the instruction set at run time
  kCuda,       // an NVIDIA GPU of compute capability 9.0. UNIMPLEMENTED in
               // builds without --config=cuda
};

// The execution resources of one call. On the CPU a call returns when its work
// is done. On a GPU it returns when its work is in the stream, without waiting
// for the device, so that calls can be captured into a graph.
struct DeviceStream {
  Executor* executor = nullptr;  // borrowed; null runs on the calling thread

  // kCuda: a cudaStream_t, borrowed; null is the default stream.
  CUstream_st* cuda_stream = nullptr;
  // kCuda: device memory, 256-byte aligned, that the work of this call may
  // overwrite, so calls that share it go to one stream. Ops say how much.
  void* workspace = nullptr;
  int64_t workspace_bytes = 0;
};

// Where a call's loops run: the stream's executor, or the calling thread.
inline Executor& ExecutorOf(const DeviceStream& stream) {
  // Shared by all: it holds nothing.
  static InlineExecutor calling_thread;
  return stream.executor != nullptr ? *stream.executor : calling_thread;
}

}  // namespace seer

#endif  // SEER_KERNELS_DEVICE_H_
