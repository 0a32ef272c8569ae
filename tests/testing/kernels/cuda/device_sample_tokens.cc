#include "tests/testing/kernels/cuda/device_sample_tokens.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {

absl::Status SampleTokensOnDevice(const SampleTokensArgs& args) {
  const DeviceArray logits(
      args.logits, args.num_rows * args.vocab_size * SizeOf(args.dtype));
  const DeviceArray draws(args.draws, args.num_draws * sizeof(TokenDraw));
  const DeviceArray adjustments(args.adjustments,
                                args.num_adjustments * sizeof(TokenAdjustment));
  SampleTokensArgs device = args;
  device.logits = logits.data();
  device.draws = draws.As<TokenDraw>();
  device.adjustments = adjustments.As<TokenAdjustment>();
  TestStream stream;
  std::vector<int32_t> first(args.num_draws);
  for (const bool in_graph : {false, true}) {
    const DeviceArray ids(args.num_draws * sizeof(int32_t));
    device.ids = ids.As<int32_t>();
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return SampleTokens(Backend::kCuda, device, on);
    }));
    ids.CopyTo(in_graph ? args.ids : first.data());
  }
  if (!std::equal(first.begin(), first.end(), args.ids)) {
    return absl::InternalError("two runs drew differently");
  }
  return absl::OkStatus();
}

}  // namespace seer
