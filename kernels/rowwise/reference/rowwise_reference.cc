#include "kernels/rowwise/reference/rowwise_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace seer {
namespace {

// Through float: a double has no conversion to BFloat16 of its own.
template <typename T>
T To(double x) {
  return T(static_cast<float>(x));
}
template <typename T>
double Widen(T x) {
  return static_cast<float>(x);
}

template <typename T>
void NormRow(const RmsNormArgs& args, int64_t row) {
  T* const x = static_cast<T*>(args.x) + row * args.width;
  T* const out = static_cast<T*>(args.out) + row * args.width;
  const T* const weight = static_cast<const T*>(args.weight);
  if (args.addend != nullptr) {
    const T* addend = static_cast<const T*>(args.addend) + row * args.width;
    for (int32_t i = 0; i < args.width; ++i) {
      x[i] = To<T>(Widen(x[i]) + Widen(addend[i]));
    }
  }
  double sum = 0.0;
  for (int32_t i = 0; i < args.width; ++i) sum += Widen(x[i]) * Widen(x[i]);
  const double norm = std::sqrt(sum / args.width + double{args.epsilon});
  for (int32_t i = 0; i < args.width; ++i) {
    const T normed = To<T>(Widen(x[i]) / norm);
    out[i] = To<T>(Widen(normed) * Widen(weight[i]));
  }
}

template <typename T>
void ActivateRow(const SiluMulArgs& args, int64_t row) {
  const T* gate = static_cast<const T*>(args.gate_up) + row * 2 * args.width;
  const T* up = gate + args.width;
  T* out = static_cast<T*>(args.out) + row * args.width;
  for (int32_t i = 0; i < args.width; ++i) {
    const double z = Widen(gate[i]);
    const T active = To<T>(z / (1.0 + std::exp(-z)));
    out[i] = To<T>(Widen(active) * Widen(up[i]));
  }
}

}  // namespace

void RmsNormReference(const RmsNormArgs& args) {
  for (int64_t row = 0; row < args.num_rows; ++row) {
    if (args.dtype == DType::kFloat32) {
      NormRow<float>(args, row);
    } else {
      NormRow<BFloat16>(args, row);
    }
  }
}

void SiluMulReference(const SiluMulArgs& args) {
  for (int64_t row = 0; row < args.num_rows; ++row) {
    if (args.dtype == DType::kFloat32) {
      ActivateRow<float>(args, row);
    } else {
      ActivateRow<BFloat16>(args, row);
    }
  }
}

void EmbedTokensReference(const EmbedTokensArgs& args) {
  const int64_t row_bytes = int64_t{args.width} * SizeOf(args.dtype);
  for (int64_t row = 0; row < args.num_rows; ++row) {
    int64_t token = args.tokens[row];
    if (token < 0) token = std::max(0, args.drawn[-1 - token]);
    std::memcpy(static_cast<char*>(args.out) + row * row_bytes,
                static_cast<const char*>(args.table) + token * row_bytes,
                row_bytes);
  }
}

}  // namespace seer
