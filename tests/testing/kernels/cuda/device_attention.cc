#include "tests/testing/kernels/cuda/device_attention.h"

#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"

namespace seer {
namespace {

absl::Status ToStatus(cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(cudaGetErrorString(error));
}

// Calls Attend while `stream` records, and runs the recording.
absl::Status AttendInGraph(const AttentionArgs& args, DeviceStream stream) {
  SEER_RETURN_IF_ERROR(ToStatus(cudaStreamBeginCapture(
      stream.cuda_stream, cudaStreamCaptureModeThreadLocal)));
  const absl::Status status = Attend(Backend::kCuda, args, stream);
  cudaGraph_t graph = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream.cuda_stream, &graph);
  SEER_RETURN_IF_ERROR(status);
  SEER_RETURN_IF_ERROR(ToStatus(error));
  cudaGraphExec_t executable = nullptr;
  SEER_RETURN_IF_ERROR(ToStatus(cudaGraphInstantiate(&executable, graph, 0)));
  SEER_RETURN_IF_ERROR(
      ToStatus(cudaGraphLaunch(executable, stream.cuda_stream)));
  SEER_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream.cuda_stream)));
  SEER_RETURN_IF_ERROR(ToStatus(cudaGraphExecDestroy(executable)));
  return ToStatus(cudaGraphDestroy(graph));
}

}  // namespace

absl::Status AttendOnDevice(const AttentionArgs& args) {
  const RaggedBatch& host = args.batch;
  const int64_t heads = int64_t{host.num_rows} * args.num_query_heads;
  const int64_t row_bytes = heads * args.kv.head_dim * SizeOf(args.dtype);
  const DeviceBatch batch(host);
  const DeviceArray queries(args.queries, row_bytes);
  const DeviceArray pages(
      args.kv.pages,
      args.kv.KeyOffset(args.kv.num_pages, 0) * SizeOf(args.dtype));
  const int64_t sets =
      args.sets.bits == nullptr
          ? 0
          : int64_t{host.num_prompt_tiles} * args.num_query_heads;
  const DeviceArray bits(args.sets.bits,
                         sets * args.sets.num_words * sizeof(uint64_t));
  const DeviceArray counts(args.sets.counts, sets * sizeof(int32_t));

  AttentionArgs device = args;
  device.batch = batch.batch();
  device.plan = batch.plan();
  device.queries = queries.data();
  device.kv.pages = pages.data();
  if (args.sets.bits != nullptr) {
    device.sets.bits = bits.As<uint64_t>();
    device.sets.counts = counts.As<int32_t>();
  }
  const DeviceArray workspace(AttentionWorkspaceBytes(Backend::kCuda, device));
  DeviceStream stream;
  stream.workspace = workspace.data();
  stream.workspace_bytes = workspace.num_bytes();
  SEER_RETURN_IF_ERROR(ToStatus(cudaStreamCreate(&stream.cuda_stream)));

  absl::Status status;
  for (const bool in_graph : {false, true}) {
    const DeviceArray out(row_bytes);
    const DeviceArray log_sum_exp(
        args.log_sum_exp == nullptr ? 0 : heads * sizeof(float));
    device.out = out.data();
    if (args.log_sum_exp != nullptr) {
      device.log_sum_exp = log_sum_exp.As<float>();
    }
    status = in_graph ? AttendInGraph(device, stream)
                      : Attend(Backend::kCuda, device, stream);
    if (!status.ok()) break;
    out.CopyTo(args.out);
    if (args.log_sum_exp != nullptr) log_sum_exp.CopyTo(args.log_sum_exp);
  }
  SEER_RETURN_IF_ERROR(ToStatus(cudaStreamDestroy(stream.cuda_stream)));
  return status;
}

}  // namespace seer
