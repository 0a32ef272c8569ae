// Weights of tokens as integers, so that sums of them are exact and no order of
// adding changes what is drawn.
#ifndef SEER_KERNELS_SAMPLE_TOKENS_CUDA_TOKEN_WEIGHTS_CUH_
#define SEER_KERNELS_SAMPLE_TOKENS_CUDA_TOKEN_WEIGHTS_CUH_

#include <cstdint>

#include "kernels/cuda/arithmetic.cuh"
#include "kernels/sample_tokens/token_draw.h"

namespace seer {
namespace cuda {

// The weight of the highest logit is 2^kWeightBits: the sum over a vocabulary
// of 2^20 tokens is below 2^64.
constexpr int kWeightBits = 43;
// Parts of the logits that weigh something.
constexpr int kNumBins = 2048;

class TokenWeights {
 public:
  // `max` is the highest logit, finite.
  __device__ __forceinline__ TokenWeights(float max, double temperature)
      : max_(max) {
    // fmin and fmax: no range was checked here, and these leave NaN out.
    const double t =
        fmin(fmax(temperature, kLowestTemperature), kHighestTemperature);
    scale_ = __double2float_rn(1.4426950408889634 / t);
  }

  // Of a logit of at most max, also -infinity: e^((logit - max) / temperature)
  // in units of 2^-kWeightBits.
  __device__ __forceinline__ uint64_t Of(float logit) const {
    constexpr float kOne = static_cast<float>(uint64_t{1} << kWeightBits);
    const float power = __fmul_rn(__fsub_rn(logit, max_), scale_);
    return __float2ull_rn(__fmul_rn(Exp2(power), kOne));
  }

  // The logit's part, 0 of the highest; lower logits have no lower one.
  __device__ __forceinline__ uint32_t Bin(float logit) const {
    // Below -(kWeightBits + 1) powers of two weights round to 0.
    constexpr float kBinsPerPower =
        static_cast<float>(kNumBins - 1) / (kWeightBits + 1);
    // Adding 2^23 rounds to an integer, which the low bits then hold.
    constexpr float kRound = 8388608.0f;
    const float power = __fmul_rn(__fsub_rn(max_, logit), scale_);
    const float bin = __fmul_rn(power, kBinsPerPower);
    const float rounded = __fadd_rn(fminf(bin, kNumBins - 1), kRound);
    return __float_as_uint(rounded) & (kNumBins - 1);
  }

  __device__ __forceinline__ float max() const { return max_; }

 private:
  float max_;
  float scale_;  // powers of two per logit
};

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_SAMPLE_TOKENS_CUDA_TOKEN_WEIGHTS_CUH_
