#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/arithmetic.cuh"
#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/matrix_fragments.cuh"
#include "kernels/cuda/rotation.cuh"
#include "kernels/gate_score/cuda/entries.h"
#include "kernels/gate_score/cuda/entry_rows.cuh"

namespace seer {
namespace cuda {
namespace {

constexpr int kRows = 32;  // scored tiles of a thread block
constexpr int kRowWarps = kRows / 16;
constexpr int kColumnWarps = 4;
constexpr int kThreads = kRowWarps * kColumnWarps * 32;

// Weights come a pool's at a time, the next while one is multiplied.
constexpr int kWeightStages = 2;

template <int kHeadDim>
struct EntriesMemory {
  // Padded so that 8 rows' 16-byte pieces lie in different banks.
  static constexpr int kStride = kHeadDim + 8;
  alignas(16) __nv_bfloat16 weights[kWeightStages][kHeadDim * kStride];
  // Of each pool. The first's place holds the projected entries at last.
  alignas(16) __nv_bfloat16 inputs[EntryPools::kMost][kRows * kStride];
  EntryRow<__nv_bfloat16> rows[kRows];
};

// Starts to fetch the weights [D, D] of one pool.
template <int kHeadDim>
__device__ __forceinline__ void FetchWeights(const __nv_bfloat16* weights,
                                             __nv_bfloat16* to) {
  constexpr int kPieces = kHeadDim / 8;
  const uint32_t address = SharedAddress(to);
#pragma unroll
  for (int i = threadIdx.x; i < kHeadDim * kPieces; i += kThreads) {
    const int at =
        i / kPieces * EntriesMemory<kHeadDim>::kStride + i % kPieces * 8;
    CopyAsync(address + at * sizeof(__nv_bfloat16), weights + i * 8);
  }
}

// v / divisor, every quotient rounded. By a power of 2, which most blocks' 64
// tokens and the divisor 1 are, the product is the same.
__device__ __forceinline__ float4 Divide(const float4& v, float divisor) {
  if ((__float_as_uint(divisor) & 0x7fffffu) == 0) {
    const float factor = __frcp_rn(divisor);
    return make_float4(v.x * factor, v.y * factor, v.z * factor, v.w * factor);
  }
  return make_float4(__fdiv_rn(v.x, divisor), __fdiv_rn(v.y, divisor),
                     __fdiv_rn(v.z, divisor), __fdiv_rn(v.w, divisor));
}

// The rows' pools as bfloat16; zeros for rows that there are not. All are under
// way before the first is needed.
template <int kHeadDim>
__device__ __forceinline__ void FillInputs(const EntryPools& pools,
                                           EntriesMemory<kHeadDim>& memory) {
  constexpr int kPieces = kHeadDim / 4;
  constexpr int kRowStep = kThreads / kPieces;
  const int channel = threadIdx.x % kPieces * 4;
  float4 values[EntryPools::kMost][kRows / kRowStep];
#pragma unroll
  for (int k = 0; k < EntryPools::kMost; ++k) {
    if (k == pools.num_kinds) break;
#pragma unroll
    for (int i = 0; i < kRows / kRowStep; ++i) {
      const float* from =
          memory.rows[i * kRowStep + threadIdx.x / kPieces].pools;
      values[k][i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (from == nullptr) continue;
      values[k][i] = *reinterpret_cast<const float4*>(
          from + pools.kinds[k] * kHeadDim + channel);
    }
  }
#pragma unroll
  for (int k = 0; k < EntryPools::kMost; ++k) {
    if (k == pools.num_kinds) break;
#pragma unroll
    for (int i = 0; i < kRows / kRowStep; ++i) {
      const int row = i * kRowStep + threadIdx.x / kPieces;
      const float divisor =
          PoolDivisor(pools.kinds[k], memory.rows[row].num_tokens);
      const float4 v = Divide(values[k][i], divisor);
      *reinterpret_cast<uint2*>(
          memory.inputs[k] + row * EntriesMemory<kHeadDim>::kStride + channel) =
          make_uint2(PackBf16(v.x, v.y), PackBf16(v.z, v.w));
    }
  }
}

// A warp's part of the product: 16 rows, D / kColumnWarps columns.
template <int kHeadDim>
struct WarpProduct {
  static constexpr int kColumns = kHeadDim / kColumnWarps;
  static constexpr int kStride = EntriesMemory<kHeadDim>::kStride;
  int first_row, first_column, lane;
  float sums[kColumns / 8][4] = {};

  __device__ __forceinline__ WarpProduct()
      : first_row(threadIdx.x / 32 / kColumnWarps * 16),
        first_column(threadIdx.x / 32 % kColumnWarps * kColumns),
        lane(threadIdx.x % 32) {}

  // sums += inputs x weights, both of one pool.
  __device__ __forceinline__ void Add(const __nv_bfloat16* inputs,
                                      const __nv_bfloat16* weights) {
#pragma unroll
    for (int k = 0; k < kHeadDim; k += 16) {
      uint32_t a[4];
      LoadRows16x16<kStride>(inputs + first_row * kStride + k, lane, a);
#pragma unroll
      for (int n = 0; n < kColumns; n += 16) {
        uint32_t b[4];
        LoadColumns<kStride>(weights + k * kStride + first_column + n, lane, b);
        MultiplyAdd(sums[n / 8], a, b[0], b[1]);
        MultiplyAdd(sums[n / 8 + 1], a, b[2], b[3]);
      }
    }
  }

  // The rounded entries, rows kStride apart.
  __device__ __forceinline__ void Store(__nv_bfloat16* entries) const {
#pragma unroll
    for (int i = 0; i < kColumns / 8; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = first_row + lane / 4 + 8 * h;
        const int column = first_column + i * 8 + lane % 4 * 2;
        *reinterpret_cast<uint32_t*>(entries + row * kStride + column) =
            PackBf16(sums[i][2 * h], sums[i][2 * h + 1]);
      }
    }
  }
};

// entries = inputs x weights [num_kinds * D, D]. The fetching of the first
// kWeightStages pools' weights has begun, a group of copies each.
template <int kHeadDim>
__device__ __forceinline__ void Project(const __nv_bfloat16* weights,
                                        int num_kinds,
                                        EntriesMemory<kHeadDim>& memory) {
  WarpProduct<kHeadDim> product;
  for (int k = 0; k < num_kinds; ++k) {
    WaitForCopies<kWeightStages - 1>();
    __syncthreads();
    __nv_bfloat16* stage = memory.weights[k % kWeightStages];
    product.Add(memory.inputs[k], stage);
    __syncthreads();
    if (k + kWeightStages < num_kinds) {
      FetchWeights<kHeadDim>(
          weights + (k + kWeightStages) * kHeadDim * kHeadDim, stage);
    }
    CommitCopies();
  }
  product.Store(memory.inputs[0]);
  __syncthreads();
}

__device__ __forceinline__ void LoadEight(const float* from,
                                          float (&floats)[8]) {
#pragma unroll
  for (int i = 0; i < 8; i += 4) {
    const float4 v = *reinterpret_cast<const float4*>(from + i);
    floats[i] = v.x;
    floats[i + 1] = v.y;
    floats[i + 2] = v.z;
    floats[i + 3] = v.w;
  }
}

// Rotates eight channel pairs in place.
__device__ __forceinline__ void Rotate(const float* cos_from,
                                       const float* sin_from, uint4& low,
                                       uint4& high) {
  float cos[8], sin[8];
  LoadEight(cos_from, cos);
  LoadEight(sin_from, sin);
  uint32_t* const lows[4] = {&low.x, &low.y, &low.z, &low.w};
  uint32_t* const highs[4] = {&high.x, &high.y, &high.z, &high.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float x0 = LowBf16(*lows[i]), x1 = HighBf16(*lows[i]);
    const float y0 = LowBf16(*highs[i]), y1 = HighBf16(*highs[i]);
    *lows[i] = PackBf16(RotatedLow(x0, y0, cos[2 * i], sin[2 * i]),
                        RotatedLow(x1, y1, cos[2 * i + 1], sin[2 * i + 1]));
    *highs[i] = PackBf16(RotatedHigh(x0, y0, cos[2 * i], sin[2 * i]),
                         RotatedHigh(x1, y1, cos[2 * i + 1], sin[2 * i + 1]));
  }
}

template <int kHeadDim>
__device__ __forceinline__ void WriteEntries(
    const GateParams& p, const EntriesMemory<kHeadDim>& memory) {
  constexpr int kHalf = kHeadDim / 2;
  constexpr int kPieces = kHalf / 8;
#pragma unroll
  for (int i = threadIdx.x; i < kRows * kPieces; i += kThreads) {
    const EntryRow<__nv_bfloat16>& row = memory.rows[i / kPieces];
    if (row.pools == nullptr) continue;
    const int channel = i % kPieces * 8;
    const __nv_bfloat16* entry =
        memory.inputs[0] + i / kPieces * EntriesMemory<kHeadDim>::kStride +
        channel;
    uint4 low = *reinterpret_cast<const uint4*>(entry);
    uint4 high = *reinterpret_cast<const uint4*>(entry + kHalf);
    if (p.cos != nullptr) {
      const int64_t at = row.position * kHalf + channel;
      Rotate(p.cos + at, p.sin + at, low, high);
    }
    *reinterpret_cast<uint4*>(row.entry + channel) = low;
    *reinterpret_cast<uint4*>(row.entry + kHalf + channel) = high;
  }
}

// A thread block: kRows scored tiles, one head of queries or of keys.
template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 2)
    EntriesKernel(const __grid_constant__ GateParams p) {
  extern __shared__ __align__(16) unsigned char bytes[];
  EntriesMemory<kHeadDim>& memory =
      *reinterpret_cast<EntriesMemory<kHeadDim>*>(bytes);
  const int head = blockIdx.y;
  const EntryPools& pools = PoolsOf(p, head);
  const __nv_bfloat16* weights = WeightsOf<__nv_bfloat16>(p, head);
  if (weights != nullptr) {
#pragma unroll
    for (int k = 0; k < kWeightStages; ++k) {
      if (k < pools.num_kinds) {
        FetchWeights<kHeadDim>(weights + k * kHeadDim * kHeadDim,
                               memory.weights[k]);
      }
      CommitCopies();
    }
  }
  if (threadIdx.x < kRows) {
    memory.rows[threadIdx.x] =
        EntryRowOf<__nv_bfloat16>(p, blockIdx.x * kRows + threadIdx.x, head);
  }
  __syncthreads();
  FillInputs(pools, memory);
  if (weights != nullptr) {
    Project(weights, pools.num_kinds, memory);
  } else {
    __syncthreads();
  }
  WriteEntries(p, memory);
}

template <int kHeadDim>
cudaError_t Launch(const GateParams& params, cudaStream_t stream) {
  constexpr int kBytes = sizeof(EntriesMemory<kHeadDim>);
  const cudaError_t error =
      cudaFuncSetAttribute(EntriesKernel<kHeadDim>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  const dim3 grid((params.num_scored_tiles + kRows - 1) / kRows,
                  NumHeadsOfEntries(params));
  EntriesKernel<kHeadDim><<<grid, kThreads, kBytes, stream>>>(params);
  return cudaGetLastError();
}

}  // namespace

cudaError_t LaunchEntries(const GateParams& params, cudaStream_t stream) {
  return params.head_dim == 128 ? Launch<128>(params, stream)
                                : Launch<64>(params, stream);
}

}  // namespace cuda
}  // namespace seer
