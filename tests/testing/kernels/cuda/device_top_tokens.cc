#include "tests/testing/kernels/cuda/device_top_tokens.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

// Of the logits that results are of.
int64_t NumLogitRows(const TopTokensArgs& args) {
  if (args.row_indices == nullptr || args.num_rows == 0) return args.num_rows;
  return 1 +
         *std::max_element(args.row_indices, args.row_indices + args.num_rows);
}

// A copy of num_rows elements, or of nothing.
template <class T>
DeviceArray CopyOf(const T* values, int64_t num_rows) {
  return DeviceArray(values, values == nullptr ? 0 : num_rows * sizeof(T));
}

}  // namespace

absl::Status TopTokensOnDevice(const TopTokensArgs& args) {
  const DeviceArray logits(
      args.logits, NumLogitRows(args) * args.vocab_size * SizeOf(args.dtype));
  const DeviceArray row_indices = CopyOf(args.row_indices, args.num_rows);
  const DeviceArray scored = CopyOf(args.scored_tokens, args.num_rows);
  const int64_t num_tokens = args.num_rows * args.num_top;
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const DeviceArray ids(num_tokens * sizeof(int32_t));
    const DeviceArray top_logits(num_tokens * sizeof(float));
    const DeviceArray log_sum_exp(args.num_rows * sizeof(double));
    const DeviceArray scored_logits(args.num_rows * sizeof(float));
    const DeviceArray scored_ranks(args.num_rows * sizeof(int32_t));
    TopTokensArgs device = args;
    device.logits = logits.data();
    device.ids = ids.As<int32_t>();
    device.top_logits = top_logits.As<float>();
    if (args.log_sum_exp != nullptr) {
      device.log_sum_exp = log_sum_exp.As<double>();
    }
    if (args.row_indices != nullptr) {
      device.row_indices = row_indices.As<int32_t>();
    }
    if (args.scored_tokens != nullptr) {
      device.scored_tokens = scored.As<int32_t>();
      device.scored_logits = scored_logits.As<float>();
      device.scored_ranks = scored_ranks.As<int32_t>();
    }
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return TopTokens(Backend::kCuda, device, on);
    }));
    if (!in_graph) continue;
    ids.CopyTo(args.ids);
    top_logits.CopyTo(args.top_logits);
    if (args.log_sum_exp != nullptr) log_sum_exp.CopyTo(args.log_sum_exp);
    if (args.scored_tokens != nullptr) {
      scored_logits.CopyTo(args.scored_logits);
      scored_ranks.CopyTo(args.scored_ranks);
    }
  }
  return absl::OkStatus();
}

}  // namespace seer
