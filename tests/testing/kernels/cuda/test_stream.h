// A stream of a GPU, for tests and benchmarks.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_TEST_STREAM_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_TEST_STREAM_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device.h"
#include "tests/testing/kernels/cuda/device_array.h"

namespace seer {

// With a workspace, which starts as garbage and keeps what calls leave in it.
class TestStream {
 public:
  // Puts the work of one call into the stream.
  using Enqueue = absl::FunctionRef<absl::Status(DeviceStream)>;

  explicit TestStream(int64_t workspace_bytes = 0);
  ~TestStream();
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  // Waits for the work. in_graph: the call is recorded, then the recording run.
  absl::Status Run(bool in_graph, Enqueue enqueue);

  // The device's time for one of `num_calls` calls in a row, in seconds.
  absl::StatusOr<double> Time(int num_calls, Enqueue enqueue);

 private:
  absl::Status RunRecorded(Enqueue enqueue);

  DeviceArray workspace_;
  DeviceStream stream_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_TEST_STREAM_H_
