#include "tests/testing/kernels/cuda/device_pooling.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/device_attention.h"
#include "tests/testing/kernels/cuda/device_batch.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

// Outputs in host memory and, for each run, copies of what they hold. An output
// that is null has none.
class Outputs {
 public:
  void Add(void* host, int64_t num_bytes) {
    hosts_.push_back(host);
    before_.push_back(DeviceArray(host, host == nullptr ? 0 : num_bytes));
  }
  // Fresh copies for one run.
  void Start() {
    arrays_.clear();
    for (size_t i = 0; i < hosts_.size(); ++i) {
      arrays_.emplace_back(before_[i].num_bytes());
      arrays_[i].EnqueueCopyOf(before_[i], nullptr);
    }
  }
  template <class T>
  T* As(size_t i) const {
    return hosts_[i] == nullptr ? nullptr : arrays_[i].As<T>();
  }
  // Copies the outputs back. INTERNAL unless they are the last run's.
  absl::Status Finish() {
    std::vector<std::vector<char>> results;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      results.emplace_back(arrays_[i].num_bytes());
      arrays_[i].CopyTo(results[i].data());
      if (hosts_[i] != nullptr) arrays_[i].CopyTo(hosts_[i]);
      if (!last_.empty() && results[i] != last_[i]) {
        return absl::InternalError(
            absl::StrCat("output ", i, " differs between two runs"));
      }
    }
    last_ = std::move(results);
    return absl::OkStatus();
  }

 private:
  std::vector<void*> hosts_;
  std::vector<DeviceArray> before_, arrays_;
  std::vector<std::vector<char>> last_;
};

}  // namespace

absl::Status PoolAttentionOnDevice(const AttentionPoolingArgs& args) {
  const AttentionArgs& host = args.attention;
  const int64_t row_heads = int64_t{host.batch.num_rows} * host.num_query_heads;
  const int64_t targets =
      int64_t{host.batch.num_tiles} * host.num_query_heads * args.row_len;
  Outputs outputs;
  outputs.Add(host.out, row_heads * host.kv.head_dim * SizeOf(host.dtype));
  outputs.Add(host.log_sum_exp, row_heads * sizeof(float));
  outputs.Add(args.max_target, targets * sizeof(float));
  outputs.Add(args.mass_target, targets * sizeof(float));

  const DeviceAttention copy(host);
  AttentionPoolingArgs device = args;
  device.attention = copy.args();
  TestStream stream(AttentionPoolingWorkspaceBytes(Backend::kCuda, device));
  for (const bool in_graph : {false, true}) {
    outputs.Start();
    device.attention.out = outputs.As<void>(0);
    device.attention.log_sum_exp = outputs.As<float>(1);
    device.max_target = outputs.As<float>(2);
    device.mass_target = outputs.As<float>(3);
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return PoolAttention(Backend::kCuda, device, on);
    }));
    SEER_RETURN_IF_ERROR(outputs.Finish());
  }
  return absl::OkStatus();
}

absl::Status MassRecallOnDevice(const MassRecallArgs& args) {
  const int64_t rows = int64_t{args.batch.num_tiles} * args.num_query_heads;
  const DeviceBatch batch(args.batch);
  const DeviceArray mass(args.mass, rows * args.row_len * sizeof(float));
  const DeviceArray bits(args.sets.bits,
                         rows * args.sets.num_words * sizeof(uint64_t));
  const DeviceArray counts(args.sets.counts, rows * sizeof(int32_t));
  Outputs outputs;
  outputs.Add(args.recall, rows * sizeof(float));
  MassRecallArgs device = args;
  device.batch = batch.batch();
  device.mass = mass.As<float>();
  device.sets.bits = bits.As<uint64_t>();
  device.sets.counts = counts.As<int32_t>();
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    outputs.Start();
    device.recall = outputs.As<float>(0);
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return MassRecall(Backend::kCuda, device, on);
    }));
    SEER_RETURN_IF_ERROR(outputs.Finish());
  }
  return absl::OkStatus();
}

}  // namespace seer
