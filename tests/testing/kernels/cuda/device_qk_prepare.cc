#include "tests/testing/kernels/cuda/device_qk_prepare.h"

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

// num_rows rows of num_heads heads, `stride` elements apart (0: none between).
DeviceArray CopyRows(const QkPrepareArgs& args, const void* rows,
                     int64_t num_heads, int64_t stride) {
  const int64_t width = num_heads * args.kv.head_dim;
  const int64_t elements =
      args.batch.num_rows == 0
          ? 0
          : (args.batch.num_rows - 1) * (stride == 0 ? width : stride) + width;
  return DeviceArray(rows, elements * SizeOf(args.dtype));
}

DeviceArray CopyAngles(const RopeTable& rope, const float* angles) {
  return DeviceArray(angles,
                     rope.num_positions * rope.head_dim / 2 * sizeof(float));
}

int64_t PooledQueryBytes(const QkPrepareArgs& args) {
  if (args.pooled_queries == nullptr) return 0;
  return int64_t{args.batch.num_prompt_tiles} * args.num_query_heads *
         kNumPools * args.kv.head_dim * sizeof(float);
}

}  // namespace

DeviceQkPrepare::DeviceQkPrepare(const QkPrepareArgs& host)
    : batch_(host.batch),
      queries_(CopyRows(host, host.queries, host.num_query_heads,
                        host.query_row_stride)),
      keys_(
          CopyRows(host, host.keys, host.kv.num_kv_heads, host.key_row_stride)),
      values_(CopyRows(host, host.values, host.kv.num_kv_heads,
                       host.value_row_stride)),
      cos_(CopyAngles(host.rope, host.rope.cos)),
      sin_(CopyAngles(host.rope, host.rope.sin)),
      roped_queries_(
          CopyRows(host, host.roped_queries, host.num_query_heads, 0)),
      pages_(host.kv.pages,
             host.kv.KeyOffset(host.kv.num_pages, 0) * SizeOf(host.dtype)),
      pooled_keys_(host.kv.pooled_keys,
                   host.kv.PoolOffset(host.kv.num_pages, 0, 0) * sizeof(float)),
      pooled_queries_(host.pooled_queries, PooledQueryBytes(host)),
      args_(host) {
  args_.batch = batch_.batch();
  args_.queries = queries_.data();
  args_.keys = keys_.data();
  args_.values = values_.data();
  args_.rope.cos = cos_.As<float>();
  args_.rope.sin = sin_.As<float>();
  args_.roped_queries = roped_queries_.data();
  args_.kv.pages = pages_.data();
  args_.kv.pooled_keys = pooled_keys_.As<float>();
  if (host.pooled_queries != nullptr) {
    args_.pooled_queries = pooled_queries_.As<float>();
  }
}

void DeviceQkPrepare::CopyOutputsTo(const QkPrepareArgs& host) const {
  roped_queries_.CopyTo(host.roped_queries);
  pages_.CopyTo(host.kv.pages);
  pooled_keys_.CopyTo(host.kv.pooled_keys);
  if (host.pooled_queries != nullptr) {
    pooled_queries_.CopyTo(host.pooled_queries);
  }
}

absl::Status QkPrepareOnDevice(const QkPrepareArgs& args) {
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const DeviceQkPrepare device(args);
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return QkPrepare(Backend::kCuda, device.args(), on);
    }));
    if (in_graph) device.CopyOutputsTo(args);
  }
  return absl::OkStatus();
}

}  // namespace seer
