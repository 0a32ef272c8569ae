// Passes of a thread block over one row of logits, as much at once as a thread
// can read.
#ifndef SEER_KERNELS_CUDA_LOGIT_ROW_CUH_
#define SEER_KERNELS_CUDA_LOGIT_ROW_CUH_

#include <cstdint>

#include "kernels/cuda/row_block.cuh"
#include "kernels/cuda/token_key.cuh"
#include "kernels/cuda/vector.cuh"

namespace seer {
namespace cuda {

// Consecutive logits, as many as a thread reads at once.
template <class T, int kLen>
struct Logits {
  float values[kLen];

  explicit __device__ __forceinline__ Logits(const Vector<T, kLen>& unit) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) values[k] = ToFloat(unit.values[k]);
  }
  // NaN is left out.
  __device__ __forceinline__ float Max() const {
    float max = values[0];
#pragma unroll
    for (int k = 1; k < kLen; ++k) max = fmaxf(max, values[k]);
    return max;
  }
};

// Thread t has the row's units t, t + kRowThreads, ... of kLen.
template <class T, int kLength>
struct LogitRow {
  static constexpr int kLen = kLength;
  using Unit = Logits<T, kLen>;

  const T* logits = nullptr;
  int32_t vocab_size = 0;  // a multiple of kLen

  __device__ __forceinline__ Vector<T, kLen> Load(int32_t index) const {
    return reinterpret_cast<const Vector<T, kLen>*>(logits)[index];
  }
  // What of a unit counts: rows of another kind leave tokens out.
  __device__ __forceinline__ Unit Seen(const Unit& unit, int32_t) const {
    return unit;
  }
  // fn(unit, index) of the thread's units, ascending. kAtOnce are asked for
  // before the first is waited for.
  template <int kAtOnce = 4, class Fn>
  __device__ __forceinline__ void ForEachUnit(const Fn& fn) const {
    const int32_t num_units = vocab_size / kLen;
    for (int32_t first = threadIdx.x; first < num_units;
         first += kAtOnce * kRowThreads) {
      Vector<T, kLen> loaded[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int32_t index = first + i * kRowThreads;
        if (index < num_units) loaded[i] = Load(index);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int32_t index = first + i * kRowThreads;
        if (index < num_units) fn(Unit(loaded[i]), index);
      }
    }
  }
};

// What one pass over a thread's tokens finds.
struct ThreadBest {
  TokenKey key = 0;  // 0: the thread has no token, or none above -infinity
  bool all_finite = true;  // also what the row does not see
};

template <class Row>
__device__ __forceinline__ ThreadBest FindThreadBest(const Row& row) {
  constexpr int kLen = Row::kLen;
  using Unit = typename Row::Unit;
  float best = -INFINITY;
  int32_t best_unit = -1;
  float zero = 0.0f;  // NaN once a logit is not finite
  row.ForEachUnit([&](const Unit& logits, int32_t index) {
#pragma unroll
    for (int k = 0; k < kLen; ++k) zero = fmaf(logits.values[k], 0.0f, zero);
    const float max = row.Seen(logits, index).Max();
    if (max > best) {
      best = max;
      best_unit = index;
    }
  });
  ThreadBest result;
  result.all_finite = !isnan(zero);
  if (best_unit < 0) return result;
  const Unit logits = row.Seen(Unit(row.Load(best_unit)), best_unit);
#pragma unroll
  for (int k = kLen - 1; k >= 0; --k) {
    if (logits.values[k] == best) {
      result.key = KeyOf(best, best_unit * kLen + k);
    }
  }
  return result;
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_LOGIT_ROW_CUH_
