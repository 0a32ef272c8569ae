#include "tests/testing/kernels/cuda/device_attention.h"

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

int64_t NumRowHeads(const AttentionArgs& args) {
  return int64_t{args.batch.num_rows} * args.num_query_heads;
}

int64_t RowBytes(const AttentionArgs& args) {
  return NumRowHeads(args) * args.kv.head_dim * SizeOf(args.dtype);
}

int64_t NumSets(const AttentionArgs& args) {
  return args.sets.bits == nullptr
             ? 0
             : int64_t{args.batch.num_prompt_tiles} * args.num_query_heads;
}

}  // namespace

DeviceAttention::DeviceAttention(const AttentionArgs& host)
    : batch_(host.batch),
      queries_(host.queries, RowBytes(host)),
      pages_(host.kv.pages,
             host.kv.KeyOffset(host.kv.num_pages, 0) * SizeOf(host.dtype)),
      bits_(host.sets.bits,
            NumSets(host) * host.sets.num_words * sizeof(uint64_t)),
      counts_(host.sets.counts, NumSets(host) * sizeof(int32_t)),
      args_(host) {
  args_.batch = batch_.batch();
  args_.plan = batch_.plan();
  args_.queries = queries_.data();
  args_.kv.pages = pages_.data();
  if (host.sets.bits != nullptr) {
    args_.sets.bits = bits_.As<uint64_t>();
    args_.sets.counts = counts_.As<int32_t>();
  }
  args_.out = nullptr;
  args_.log_sum_exp = nullptr;
}

absl::Status AttendOnDevice(const AttentionArgs& args) {
  const DeviceAttention copy(args);
  AttentionArgs device = copy.args();
  TestStream stream(AttentionWorkspaceBytes(Backend::kCuda, device));
  for (const bool in_graph : {false, true}) {
    const DeviceArray out(RowBytes(args));
    const DeviceArray log_sum_exp(
        args.log_sum_exp == nullptr ? 0 : NumRowHeads(args) * sizeof(float));
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
