#include "kernels/cuda/vector.cuh"
#include "kernels/rowwise/cuda/silu_mul.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kThreads = 256;

// Blocks: (row, kThreads of its units).
template <class T, int kLen>
__global__ void __launch_bounds__(kThreads)
    SiluMulKernel(const __grid_constant__ SiluMulParams p) {
  using Unit = Vector<T, kLen>;
  const int num_units = p.width / kLen;
  const int at = blockIdx.y * kThreads + threadIdx.x;
  if (at >= num_units) return;
  const int64_t row = blockIdx.x;
  const Unit* const gate_up =
      static_cast<const Unit*>(p.gate_up) + row * 2 * num_units;
  const Unit gate = gate_up[at];
  const Unit up = gate_up[num_units + at];
  Unit out;
#pragma unroll
  for (int k = 0; k < kLen; ++k) {
    const float z = ToFloat(gate.values[k]);
    const T active = FromFloat<T>(z / (1.0f + expf(-z)));
    out.values[k] = FromFloat<T>(ToFloat(active) * ToFloat(up.values[k]));
  }
  static_cast<Unit*>(p.out)[row * num_units + at] = out;
}

template <class T, int kLen>
void Launch(const SiluMulParams& params, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(params.num_rows),
                  (params.width / kLen + kThreads - 1) / kThreads);
  SiluMulKernel<T, kLen><<<grid, kThreads, 0, stream>>>(params);
}

template <class T>
void Launch(const SiluMulParams& params, cudaStream_t stream) {
  if (params.by_vectors) {
    Launch<T, kVectorLen<T>>(params, stream);
  } else {
    Launch<T, 1>(params, stream);
  }
}

}  // namespace

cudaError_t LaunchSiluMul(const SiluMulParams& params, cudaStream_t stream) {
  if (params.dtype == DType::kFloat32) {
    Launch<float>(params, stream);
  } else {
    Launch<DeviceBf16>(params, stream);
  }
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer
