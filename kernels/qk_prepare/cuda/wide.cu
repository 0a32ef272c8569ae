#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/rotation.cuh"
#include "kernels/qk_prepare/cuda/channels.cuh"
#include "kernels/qk_prepare/cuda/column.cuh"
#include "kernels/qk_prepare/cuda/wide.h"

namespace seer {
namespace cuda {
namespace {

constexpr int kWarps = 2;
constexpr int kThreads = kWarps * 32;
// Of a multiprocessor: its registers bound them to 8 of head sizes up to 128,
// its shared memory to 6 of larger ones.
constexpr int ThreadBlocks(int max_head_dim) {
  return max_head_dim <= 128 ? 8 : 6;
}

// Rows of a tile on their way to one warp. Each lane fetches its own channels;
// the warp shares the angles.
template <int kMaxDim_>
struct RowRing {
  static constexpr int kMaxDim = kMaxDim_;
  static constexpr int kDepth = 8;
  uint4 low[kDepth][32];
  uint4 high[kDepth][32];
  float angles[kDepth][kMaxDim];  // cosines, then sines
};

// A lane's share in fetching the angles of the tile's rows, one after the
// other, and the reading of those that kCount of its channels need.
template <int kCount, class Ring>
class RowAngles {
 public:
  // `position` is the first row's. Unless `needed`, nothing is fetched.
  __device__ __forceinline__ RowAngles(const PrepareParams& p, int64_t position,
                                       int lane, bool needed, int channel,
                                       const Ring& ring)
      : half_(p.kv.head_dim / 2), read_place_(channel / kCount * 4) {
    const int fours = half_ / 4;
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int four = i * 32 + lane;  // of the cosines' and sines'
      const bool is_sin = four >= fours;
      const int of_kind = is_sin ? four - fours : four;
      const float* angles = is_sin ? p.sin : p.cos;
      from_[i] = needed && four < 2 * fours
                     ? angles + position * half_ + of_kind * 4
                     : nullptr;
      to_[i] =
          SharedAddress(ring.angles[0] + (is_sin ? half_ : 0) + Place(of_kind));
    }
  }

  __device__ __forceinline__ void FetchNext(uint32_t slot) {
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      if (from_[i] == nullptr) continue;
      CopyAsync(to_[i] + slot * sizeof(Ring::angles[0]), from_[i]);
      from_[i] += half_;
    }
  }

  __device__ __forceinline__ void Read(const float* angles,
                                       float (&cos)[kCount],
                                       float (&sin)[kCount]) const {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const float* at = angles + part * (half_ / kParts) + read_place_;
      LoadFour(at, &cos[4 * part]);
      LoadFour(at + half_, &sin[4 * part]);
    }
  }

 private:
  static constexpr int kParts = kCount / 4;
  static constexpr int kShare = Ring::kMaxDim / 4 / 32;

  // Where four angles are kept: those that neighbouring lanes read together
  // side by side.
  __device__ __forceinline__ int Place(int four) const {
    return four % kParts * (half_ / kParts) + four / kParts * 4;
  }
  static __device__ __forceinline__ void LoadFour(const float* from,
                                                  float* to) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
  }

  const int half_;
  const int read_place_;
  const float* from_[kShare];  // null: nothing to fetch
  uint32_t to_[kShare];
};

// A lane's way down a tile's rows: 16 bytes of a column from `channel` on, and
// 16 bytes from channel + D / 2 on. Rows are fetched kDepth ahead of those
// that are read.
template <class T, class Ring>
class RowWalk {
 public:
  static constexpr int kCount = Channels<T>::kCount;

  // By the whole warp, as the other calls. `position` is the first row's.
  __device__ __forceinline__ RowWalk(const PrepareParams& p,
                                     const Column<T>& column, int channel,
                                     int64_t position, int num_rows,
                                     const Ring& ring)
      : in_(column.in == nullptr ? nullptr : column.in + channel),
        stride_(column.in_stride),
        half_(p.kv.head_dim / 2),
        lane_(threadIdx.x % 32),
        rows_to_fetch_(num_rows),
        ring_(ring),
        low_to_(SharedAddress(&ring.low[0][lane_])),
        angles_(p, position, lane_,
                __any_sync(kAllLanes, in_ != nullptr && column.rotates),
                channel, ring) {}

  // Fetches a row, if there is one left, in place of the current, and goes on
  // to the next. Every call closes one group of copies.
  __device__ __forceinline__ void FetchNext() {
    if (rows_to_fetch_ > 0) {
      if (in_ != nullptr) {
        const uint32_t to = low_to_ + slot_ * sizeof(Ring::low[0]);
        CopyAsync(to, in_);
        CopyAsync(to + sizeof(Ring::low), in_ + half_);
        in_ += stride_;
      }
      angles_.FetchNext(slot_);
      --rows_to_fetch_;
    }
    CommitCopies();
    slot_ = (slot_ + 1) % Ring::kDepth;
  }

  // Of the current row, once it is there.
  __device__ __forceinline__ Channels<T> Low() const {
    return Channels<T>(ring_.low[slot_][lane_]);
  }
  __device__ __forceinline__ Channels<T> High() const {
    return Channels<T>(ring_.high[slot_][lane_]);
  }
  __device__ __forceinline__ void Angles(float (&cos)[kCount],
                                         float (&sin)[kCount]) const {
    angles_.Read(ring_.angles[slot_], cos, sin);
  }

 private:
  const T* in_;
  const int64_t stride_;
  const int half_, lane_;
  int rows_to_fetch_;
  uint32_t slot_ = 0;
  const Ring& ring_;
  const uint32_t low_to_;
  RowAngles<kCount, Ring> angles_;
};

template <class T>
__device__ __forceinline__ void StoreChannels(const Channels<T>& channels,
                                              T* to) {
  __stwb(reinterpret_cast<uint4*>(to), channels.Bits());
}

// One row of a lane's channels: rotates, stores, pools.
template <class T>
__device__ __forceinline__ void PrepareRow(
    const Channels<T>& low, const Channels<T>& high,
    const float (&cos)[Channels<T>::kCount],
    const float (&sin)[Channels<T>::kCount], T* out, int half,
    ChannelPools<T>& low_pools, ChannelPools<T>& high_pools) {
  constexpr int kCount = Channels<T>::kCount;
  float lows[kCount], highs[kCount], roped_lows[kCount], roped_highs[kCount];
  low.ToFloats(lows);
  high.ToFloats(highs);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    roped_lows[i] = RotatedLow(lows[i], highs[i], cos[i], sin[i]);
    roped_highs[i] = RotatedHigh(lows[i], highs[i], cos[i], sin[i]);
  }
  const Channels<T> roped_low(roped_lows), roped_high(roped_highs);
  StoreChannels(roped_low, out);
  StoreChannels(roped_high, out + half);
  low_pools.Add(low, lows, roped_low);
  high_pools.Add(high, highs, roped_high);
}

template <class T, int kMaxDim>
__global__ void __launch_bounds__(kThreads, ThreadBlocks(kMaxDim))
    WideKernel(const __grid_constant__ PrepareParams p,
               const int blocks_per_tile) {
  constexpr int kCount = Channels<T>::kCount;
  using Ring = RowRing<kMaxDim>;
  __shared__ Ring rings[kWarps];
  const int tile_index = blockIdx.x / blocks_per_tile;
  const int place = blockIdx.x % blocks_per_tile * kThreads + threadIdx.x;
  const int head_dim = p.kv.head_dim;
  const int half = head_dim / 2;
  const int channel = place % (half / kCount) * kCount;
  const Tile tile = p.batch.tiles[tile_index];
  if (tile.num_rows == 0) return;
  const Column<T> column =
      ColumnOf<T>(p, tile_index, tile, place / (half / kCount));
  RowWalk<T, Ring> rows(p, column, channel,
                        int64_t{tile.block} * kBlockSize + tile.offset,
                        tile.num_rows, rings[threadIdx.x / 32]);
#pragma unroll 1
  for (int i = 0; i < Ring::kDepth; ++i) rows.FetchNext();

  ChannelPools<T> low_pools, high_pools;
  if (column.pools != nullptr && !column.starts_pools) {
    low_pools.Load(column.pools + channel, head_dim);
    high_pools.Load(column.pools + channel + half, head_dim);
  }
  T* out = column.out + channel;
  for (int r = 0; r < tile.num_rows; ++r) {
    WaitForCopies<Ring::kDepth - 1>();
    __syncwarp();
    const Channels<T> low = rows.Low();
    const Channels<T> high = rows.High();
    float cos[kCount], sin[kCount];
    rows.Angles(cos, sin);
    __syncwarp();
    rows.FetchNext();
    if (column.in == nullptr) continue;
    if (column.rotates) {
      PrepareRow<T>(low, high, cos, sin, out, half, low_pools, high_pools);
    } else {
      StoreChannels(low, out);
      StoreChannels(high, out + half);
    }
    out += column.out_stride;
  }
  if (column.pools != nullptr) {
    low_pools.Store(column.pools + channel, head_dim);
    high_pools.Store(column.pools + channel + half, head_dim);
  }
}

template <class T, int kMaxDim>
cudaError_t Launch(const PrepareParams& params, cudaStream_t stream) {
  const int pieces = params.kv.head_dim / 2 / Channels<T>::kCount;
  const int blocks_per_tile =
      (NumColumns(params) * pieces + kThreads - 1) / kThreads;
  const int grid = params.batch.num_tiles * blocks_per_tile;
  WideKernel<T, kMaxDim>
      <<<grid, kThreads, 0, stream>>>(params, blocks_per_tile);
  return cudaGetLastError();
}

}  // namespace

bool FitsWide(const PrepareParams& params, DType dtype) {
  constexpr int64_t kBytes = 16;
  const void* const addresses[] = {params.queries,       params.keys,
                                   params.values,        params.cos,
                                   params.sin,           params.roped_queries,
                                   params.kv.pages,      params.kv.pooled_keys,
                                   params.pooled_queries};
  for (const void* address : addresses) {
    if (reinterpret_cast<uintptr_t>(address) % kBytes != 0) return false;
  }
  const int64_t strides[] = {params.query_row_stride, params.key_row_stride,
                             params.value_row_stride, params.kv.head_dim / 2};
  for (const int64_t stride : strides) {
    if (stride * SizeOf(dtype) % kBytes != 0) return false;
  }
  return true;
}

cudaError_t LaunchWide(const PrepareParams& params, DType dtype,
                       cudaStream_t stream) {
  const bool is_large = params.kv.head_dim > 128;
  if (dtype == DType::kFloat32) {
    return is_large ? Launch<float, kMaxHeadDim>(params, stream)
                    : Launch<float, 128>(params, stream);
  }
  return is_large ? Launch<__nv_bfloat16, kMaxHeadDim>(params, stream)
                  : Launch<__nv_bfloat16, 128>(params, stream);
}

}  // namespace cuda
}  // namespace seer
