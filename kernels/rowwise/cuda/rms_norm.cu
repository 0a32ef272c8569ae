#include "kernels/cuda/vector.cuh"
#include "kernels/cuda/warp_reduce.cuh"
#include "kernels/rowwise/cuda/rms_norm.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kThreadUnits = kMaxNormUnits / kMaxThreads;

// Over all threads of the block, in a fixed order. Whole warps.
__device__ __forceinline__ float BlockSum(float v) {
  __shared__ float sums[kMaxThreads / kWarpLanes];
  const int lane = threadIdx.x % kWarpLanes;
  const int num_warps = blockDim.x / kWarpLanes;
  v = WarpSum(v);
  if (lane == 0) sums[threadIdx.x / kWarpLanes] = v;
  __syncthreads();
  return WarpSum(lane < num_warps ? sums[lane] : 0.0f);
}

// A block a row; thread t has units t, t + blockDim.x, ...
template <class T, int kLen>
__global__ void __launch_bounds__(kMaxThreads)
    RmsNormKernel(const __grid_constant__ RmsNormParams p) {
  using Unit = Vector<T, kLen>;
  const int num_units = p.width / kLen;
  const int64_t row_begin = int64_t{blockIdx.x} * num_units;
  Unit* const x = static_cast<Unit*>(p.x) + row_begin;
  const Unit* const addend = static_cast<const Unit*>(p.addend) + row_begin;
  Unit* const out = static_cast<Unit*>(p.out) + row_begin;

  // All is asked for before any of it is waited for.
  Unit units[kThreadUnits], more[kThreadUnits], weights[kThreadUnits];
#pragma unroll
  for (int i = 0; i < kThreadUnits; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= num_units) continue;
    units[i] = x[at];
    weights[i] = static_cast<const Unit*>(p.weight)[at];
    if (p.addend != nullptr) more[i] = addend[at];
  }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kThreadUnits; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= num_units) continue;
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      T& element = units[i].values[k];
      if (p.addend != nullptr) {
        element = FromFloat<T>(ToFloat(element) + ToFloat(more[i].values[k]));
      }
      sum += ToFloat(element) * ToFloat(element);
    }
    if (p.addend != nullptr) x[at] = units[i];
  }
  const float mean = BlockSum(sum) / static_cast<float>(p.width);
  const float scale = 1.0f / sqrtf(mean + p.epsilon);
#pragma unroll
  for (int i = 0; i < kThreadUnits; ++i) {
    const int at = threadIdx.x + i * blockDim.x;
    if (at >= num_units) continue;
#pragma unroll
    for (int k = 0; k < kLen; ++k) {
      const T normed = FromFloat<T>(ToFloat(units[i].values[k]) * scale);
      units[i].values[k] =
          FromFloat<T>(ToFloat(normed) * ToFloat(weights[i].values[k]));
    }
    out[at] = units[i];
  }
}

template <class T, int kLen>
void Launch(const RmsNormParams& params, cudaStream_t stream) {
  const int num_units = params.width / kLen;
  const int num_warps =
      (num_units + kThreadUnits * kWarpLanes - 1) / (kThreadUnits * kWarpLanes);
  RmsNormKernel<T, kLen><<<static_cast<unsigned>(params.num_rows),
                           num_warps * kWarpLanes, 0, stream>>>(params);
}

template <class T>
void Launch(const RmsNormParams& params, cudaStream_t stream) {
  if (params.by_vectors) {
    Launch<T, kVectorLen<T>>(params, stream);
  } else {
    Launch<T, 1>(params, stream);
  }
}

}  // namespace

cudaError_t LaunchRmsNorm(const RmsNormParams& params, cudaStream_t stream) {
  if (params.dtype == DType::kFloat32) {
    Launch<float>(params, stream);
  } else {
    Launch<DeviceBf16>(params, stream);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
