#include "tests/testing/kernels/cuda/device_gate_score.h"

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

// Bytes at `data`, or none where it is null.
DeviceArray CopyOf(const void* data, int64_t num_bytes) {
  return DeviceArray(data, data == nullptr ? 0 : num_bytes);
}

// Weights [heads, pools * D, D].
DeviceArray CopyWeights(const GateScoreArgs& args, const void* weights,
                        int64_t num_heads, const PoolSet& pools) {
  return CopyOf(weights, num_heads * pools.size() * args.kv.head_dim *
                             args.kv.head_dim * SizeOf(args.dtype));
}

DeviceArray CopyAngles(const RopeTable& rope, const float* angles) {
  return CopyOf(angles, rope.num_positions * rope.head_dim / 2 * sizeof(float));
}

// (prompt tile, query head) pairs.
int64_t NumRows(const GateScoreArgs& args) {
  return int64_t{args.batch.num_prompt_tiles} * args.num_query_heads;
}

}  // namespace

DeviceGateScore::DeviceGateScore(const GateScoreArgs& host)
    : batch_(host.batch),
      tile_indices_(
          CopyOf(host.tile_indices, host.num_scored_tiles * sizeof(int32_t))),
      linear_q_(CopyWeights(host, host.gate.linear_q, host.num_query_heads,
                            host.gate.query_pools)),
      linear_k_(CopyWeights(host, host.gate.linear_k, host.num_entry_heads,
                            host.gate.key_pools)),
      cos_(CopyAngles(host.rope, host.rope.cos)),
      sin_(CopyAngles(host.rope, host.rope.sin)),
      pooled_queries_(
          CopyOf(host.pooled_queries,
                 NumRows(host) * kNumPools * host.kv.head_dim * sizeof(float))),
      pooled_keys_(host.kv.pooled_keys,
                   host.kv.PoolOffset(host.kv.num_pages, 0, 0) * sizeof(float)),
      key_entries_(
          CopyOf(host.key_entries, host.kv.num_pages * host.num_entry_heads *
                                       host.kv.head_dim * SizeOf(host.dtype))),
      logits_(CopyOf(host.logits,
                     NumRows(host) * host.logits_row_len * sizeof(float))),
      args_(host) {
  args_.batch = batch_.batch();
  args_.tile_indices = tile_indices_.As<int32_t>();
  if (host.gate.linear_q != nullptr) args_.gate.linear_q = linear_q_.data();
  if (host.gate.linear_k != nullptr) args_.gate.linear_k = linear_k_.data();
  args_.rope.cos = cos_.As<float>();
  args_.rope.sin = sin_.As<float>();
  args_.pooled_queries = pooled_queries_.As<float>();
  args_.kv.pages = pooled_keys_.data();  // present, never read
  args_.kv.pooled_keys = pooled_keys_.As<float>();
  args_.key_entries = key_entries_.data();
  args_.logits = logits_.As<float>();
}

void DeviceGateScore::CopyOutputsTo(const GateScoreArgs& host) const {
  key_entries_.CopyTo(host.key_entries);
  logits_.CopyTo(host.logits);
}

absl::Status GateScoreOnDevice(const GateScoreArgs& args) {
  TestStream stream(GateScoreWorkspaceBytes(Backend::kCuda, args));
  for (const bool in_graph : {false, true}) {
    const DeviceGateScore device(args);
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return GateScore(Backend::kCuda, device.args(), on);
    }));
    if (in_graph) device.CopyOutputsTo(args);
  }
  return absl::OkStatus();
}

}  // namespace seer
