#include "tests/testing/kernels/cuda/device_attention.h"

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_batch.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {

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
  TestStream stream(AttentionWorkspaceBytes(Backend::kCuda, device));
  for (const bool in_graph : {false, true}) {
    const DeviceArray out(row_bytes);
    const DeviceArray log_sum_exp(
        args.log_sum_exp == nullptr ? 0 : heads * sizeof(float));
    device.out = out.data();
    if (args.log_sum_exp != nullptr) {
      device.log_sum_exp = log_sum_exp.As<float>();
    }
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return Attend(Backend::kCuda, device, on);
    }));
    out.CopyTo(args.out);
    if (args.log_sum_exp != nullptr) log_sum_exp.CopyTo(args.log_sum_exp);
  }
  return absl::OkStatus();
}

}  // namespace seer
