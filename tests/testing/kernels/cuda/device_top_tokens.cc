#include "tests/testing/kernels/cuda/device_top_tokens.h"

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {

absl::Status TopTokensOnDevice(const TopTokensArgs& args) {
  const DeviceArray logits(
      args.logits, args.num_rows * args.vocab_size * SizeOf(args.dtype));
  const int64_t num_tokens = args.num_rows * args.num_top;
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const DeviceArray ids(num_tokens * sizeof(int32_t));
    const DeviceArray top_logits(num_tokens * sizeof(float));
    const DeviceArray log_sum_exp(args.num_rows * sizeof(double));
    TopTokensArgs device = args;
    device.logits = logits.data();
    device.ids = ids.As<int32_t>();
    device.top_logits = top_logits.As<float>();
    if (args.log_sum_exp != nullptr) {
      device.log_sum_exp = log_sum_exp.As<double>();
    }
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return TopTokens(Backend::kCuda, device, on);
    }));
    if (!in_graph) continue;
    ids.CopyTo(args.ids);
    top_logits.CopyTo(args.top_logits);
    if (args.log_sum_exp != nullptr) log_sum_exp.CopyTo(args.log_sum_exp);
  }
  return absl::OkStatus();
}

}  // namespace seer
