#include "tests/testing/kernels/cuda/device_rowwise.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/status_macros.h"
#include "tests/testing/kernels/cuda/device_array.h"
#include "tests/testing/kernels/cuda/test_stream.h"

namespace seer {
namespace {

// A copy of elements, `begin` bytes after an aligned address.
class Copy {
 public:
  Copy(const void* host, int64_t num_bytes, int64_t begin)
      : begin_(begin), array_(Shifted(host, num_bytes, begin)) {}

  void* data() const { return array_.As<char>() + begin_; }
  void CopyTo(void* host) const {
    std::vector<char> bytes(array_.num_bytes());
    array_.CopyTo(bytes.data());
    std::memcpy(host, bytes.data() + begin_, bytes.size() - begin_);
  }

 private:
  static DeviceArray Shifted(const void* host, int64_t num_bytes,
                             int64_t begin) {
    std::vector<char> bytes(begin + num_bytes);
    std::memcpy(bytes.data() + begin, host, num_bytes);
    return DeviceArray::Of(bytes);
  }

  int64_t begin_;
  DeviceArray array_;
};

int64_t Begin(bool misaligned, DType dtype) {
  return misaligned ? 2 * SizeOf(dtype) : 0;
}

}  // namespace

absl::Status RmsNormOnDevice(const RmsNormArgs& args, bool misaligned) {
  const int64_t row_bytes = int64_t{args.width} * SizeOf(args.dtype);
  const int64_t begin = Begin(misaligned, args.dtype);
  const int64_t num_bytes = args.num_rows * row_bytes;
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const Copy x(args.x, num_bytes, begin);
    const Copy addend(args.addend == nullptr ? args.x : args.addend, num_bytes,
                      begin);
    const Copy weight(args.weight, row_bytes, begin);
    const Copy out(args.out, num_bytes, begin);
    RmsNormArgs device = args;
    device.x = x.data();
    if (args.addend != nullptr) device.addend = addend.data();
    device.weight = weight.data();
    device.out = args.out == args.addend ? addend.data() : out.data();
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return RmsNorm(Backend::kCuda, device, on);
    }));
    if (!in_graph) continue;
    x.CopyTo(args.x);
    (args.out == args.addend ? addend : out).CopyTo(args.out);
  }
  return absl::OkStatus();
}

absl::Status SiluMulOnDevice(const SiluMulArgs& args, bool misaligned) {
  const int64_t num_bytes = args.num_rows * args.width * SizeOf(args.dtype);
  const int64_t begin = Begin(misaligned, args.dtype);
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const Copy gate_up(args.gate_up, 2 * num_bytes, begin);
    const Copy out(args.out, num_bytes, begin);
    SiluMulArgs device = args;
    device.gate_up = gate_up.data();
    device.out = out.data();
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return SiluMul(Backend::kCuda, device, on);
    }));
    if (in_graph) out.CopyTo(args.out);
  }
  return absl::OkStatus();
}

absl::Status EmbedTokensOnDevice(const EmbedTokensArgs& args, bool misaligned) {
  const int64_t row_bytes = int64_t{args.width} * SizeOf(args.dtype);
  const int64_t begin = Begin(misaligned, args.dtype);
  TestStream stream;
  for (const bool in_graph : {false, true}) {
    const Copy table(args.table, args.num_table_rows * row_bytes, begin);
    const Copy tokens(args.tokens, args.num_rows * sizeof(int32_t), 0);
    const Copy drawn(args.drawn, args.num_drawn * sizeof(int32_t), 0);
    const Copy out(args.out, args.num_rows * row_bytes, begin);
    EmbedTokensArgs device = args;
    device.table = table.data();
    device.tokens = static_cast<const int32_t*>(tokens.data());
    device.drawn = static_cast<const int32_t*>(drawn.data());
    device.out = out.data();
    SEER_RETURN_IF_ERROR(stream.Run(in_graph, [&](DeviceStream on) {
      return EmbedTokens(Backend::kCuda, device, on);
    }));
    if (in_graph) out.CopyTo(args.out);
  }
  return absl::OkStatus();
}

}  // namespace seer
