// Exact selection of the largest of many floats by the order of their bits:
// no sort, no pivot, ties told apart.
#ifndef SEER_KERNELS_CUDA_RADIX_SELECT_CUH_
#define SEER_KERNELS_CUDA_RADIX_SELECT_CUH_

#include <cstdint>

namespace seer {
namespace cuda {

// No float's key: lower than all of them.
constexpr uint32_t kNoKey = 0;

// An integer that orders as the float does: -0 equal to 0, NaN lowest.
__device__ __forceinline__ uint32_t OrderedKey(float x) {
  constexpr uint32_t kNanKey = 1;
  constexpr uint32_t kSign = 0x80000000u;
  const uint32_t bits = __float_as_uint(x + 0.0f);  // -0 + 0 = 0
  const uint32_t key = (bits & kSign) != 0 ? ~bits : bits | kSign;
  return isnan(x) ? kNanKey : key;
}

// Counts `key` if it is >= `candidate`, which is not 0: the carry of a
// subtraction, two instructions where a comparison would take three.
__device__ __forceinline__ void AddIfAtLeast(uint32_t key, uint32_t candidate,
                                             uint32_t& count) {
  asm("{ .reg .u32 unused;\n"
      "  add.cc.u32 unused, %1, %2;\n"
      "  addc.u32 %0, %0, 0; }"
      : "+r"(count)
      : "r"(key), "r"(0u - candidate));
}

// Which of many keys are taken: those above `floor`, and the first `num_ties`
// of those equal to it.
template <class Key>
struct KeyCut {
  Key floor = 0;
  int32_t num_ties = 0;
};

// The cut that takes the `count` >= 1 largest of keys, of which at least
// `count` are not 0. count_at_least(key) says how many are >= key; all threads
// that share the keys call this together and get the same.
//
// A radix select of one bit a digit. It ends at the first prefix that exactly
// `count` keys reach, for most rows after about half of the bits.
template <class Key, class CountAtLeast>
__device__ __forceinline__ KeyCut<Key> FindCut(
    int32_t count, const CountAtLeast& count_at_least) {
  Key floor = 0;
  int32_t num_above = 0;  // keys above every key that starts as `floor` does
#pragma unroll 1
  for (Key bit = Key{1} << (8 * sizeof(Key) - 1); bit != 0; bit >>= 1) {
    const Key candidate = floor | bit;
    const int32_t num_keys = count_at_least(candidate);
    if (num_keys == count) return {candidate - 1, 0};
    if (num_keys > count) {
      floor = candidate;
    } else {
      num_above = num_keys;
    }
  }
  return {floor, count - num_above};
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_RADIX_SELECT_CUH_
