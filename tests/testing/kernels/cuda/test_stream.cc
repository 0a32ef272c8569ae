#include "tests/testing/kernels/cuda/test_stream.h"

#include <cuda_runtime_api.h>

#include "absl/base/internal/raw_logging.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_status.h"

namespace seer {
namespace {

void Check(cudaError_t error) {
  if (error != cudaSuccess) {
    ABSL_RAW_LOG(FATAL, "CUDA: %s", cudaGetErrorString(error));
  }
}

}  // namespace

TestStream::TestStream(int64_t workspace_bytes) : workspace_(workspace_bytes) {
  stream_.workspace = workspace_.data();
  stream_.workspace_bytes = workspace_bytes;
  Check(cudaStreamCreate(&stream_.cuda_stream));
}

TestStream::~TestStream() { Check(cudaStreamDestroy(stream_.cuda_stream)); }

absl::Status TestStream::Run(bool in_graph, Enqueue enqueue) {
  if (in_graph) return RunRecorded(enqueue);
  SEER_RETURN_IF_ERROR(enqueue(stream_));
  return CudaStatus("stream", cudaStreamSynchronize(stream_.cuda_stream));
}

absl::Status TestStream::RunRecorded(Enqueue enqueue) {
  SEER_RETURN_IF_ERROR(CudaStatus(
      "stream", cudaStreamBeginCapture(stream_.cuda_stream,
                                       cudaStreamCaptureModeThreadLocal)));
  const absl::Status status = enqueue(stream_);
  cudaGraph_t graph = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream_.cuda_stream, &graph);
  SEER_RETURN_IF_ERROR(status);
  SEER_RETURN_IF_ERROR(CudaStatus("stream", error));
  cudaGraphExec_t executable = nullptr;
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaGraphInstantiate(&executable, graph, 0)));
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaGraphLaunch(executable, stream_.cuda_stream)));
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaStreamSynchronize(stream_.cuda_stream)));
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaGraphExecDestroy(executable)));
  return CudaStatus("stream", cudaGraphDestroy(graph));
}

absl::StatusOr<double> TestStream::Time(int num_calls, Enqueue enqueue) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaEventCreate(&begin)));
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaEventCreate(&end)));
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaEventRecord(begin, stream_.cuda_stream)));
  for (int i = 0; i < num_calls; ++i) SEER_RETURN_IF_ERROR(enqueue(stream_));
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaEventRecord(end, stream_.cuda_stream)));
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaEventSynchronize(end)));
  float milliseconds = 0.0f;
  SEER_RETURN_IF_ERROR(
      CudaStatus("stream", cudaEventElapsedTime(&milliseconds, begin, end)));
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaEventDestroy(begin)));
  SEER_RETURN_IF_ERROR(CudaStatus("stream", cudaEventDestroy(end)));
  return milliseconds * 1e-3 / num_calls;
}

}  // namespace seer
