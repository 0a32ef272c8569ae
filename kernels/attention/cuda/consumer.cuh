// The warpgroup that attends the rows its producer fetches, 64 at a time:
// scores, softmax and outputs stay in registers from the first block to the
// last.
#ifndef SEER_KERNELS_ATTENTION_CUDA_CONSUMER_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_CONSUMER_CUH_

#include <cstdint>
#include <cute/arch/mma_sm90_gmma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/tensor.hpp>

#include "kernels/attention/cuda/online_softmax.cuh"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/row_writer.cuh"
#include "kernels/attention/cuda/tile_ring.cuh"
#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {

// Multiplication of a warpgroup's 64 x 16 A, in registers, by B in shared
// memory.
template <int kHeadDim>
struct TileMma;
template <>
struct TileMma<64> {
  using Outputs = cute::SM90_64x64x16_F32BF16BF16_RS<cute::GMMA::Major::K,
                                                     cute::GMMA::Major::MN>;
};
template <>
struct TileMma<128> {
  using Outputs = cute::SM90_64x128x16_F32BF16BF16_RS<cute::GMMA::Major::K,
                                                      cute::GMMA::Major::MN>;
};
using ScoreMma = cute::SM90_64x64x16_F32BF16BF16_RS<cute::GMMA::Major::K,
                                                    cute::GMMA::Major::K>;

// Enqueues c (+)= a b over all of a's columns.
template <class Mma, class A, class B, class C>
__device__ __forceinline__ void Multiply(Mma& mma, const A& a, const B& b, C& c,
                                         bool accumulate) {
  cute::warpgroup_fence_operand(c);
  cute::warpgroup_arrive();
  mma.accumulate_ =
      accumulate ? cute::GMMA::ScaleOut::One : cute::GMMA::ScaleOut::Zero;
#pragma unroll
  for (int k = 0; k < cute::size<2>(a); ++k) {
    cute::gemm(mma, a(cute::_, cute::_, k), b(cute::_, cute::_, k), c);
    mma.accumulate_ = cute::GMMA::ScaleOut::One;
  }
  cute::warpgroup_commit_batch();
}

// Sets the scores of keys past each row's own position to -inf: the block is
// the rows' own, row r of the tile at its position r.
template <class Scores>
__device__ __forceinline__ void MaskDiagonal(Scores& scores) {
  const int thread = WarpgroupThread();
  const int row = thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int key = i / 4 * 8 + thread % 4 * 2 + i % 2;
    if (key > row + (i & 2) * 4) scores(i) = -INFINITY;
  }
}

// A tile of queries as the scores' operand. Each lane names a row of 8 of the
// four 8 x 8 matrices that the operand of 16 channels is made of.
template <int kHeadDim, class Queries>
__device__ __forceinline__ void LoadQueries(const Element* tile,
                                            Queries& queries) {
  uint32_t* words = reinterpret_cast<uint32_t*>(queries.data());
  const uint32_t thread = WarpgroupThread();
  const uint32_t row = thread / 32 * 16 + thread % 16;
  const uint32_t address = cute::cast_smem_ptr_to_uint(tile) + row * 128;
#pragma unroll
  for (uint32_t k = 0; k < kHeadDim / 16; ++k) {
    // 16-byte pieces of a box's row, in the copy engine's swizzle.
    const uint32_t piece = (k % 4 * 2 + thread % 32 / 16) ^ (row % 8);
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(words[4 * k]), "=r"(words[4 * k + 1]), "=r"(words[4 * k + 2]),
          "=r"(words[4 * k + 3])
        : "r"(address + k / 4 * kBoxBytes + piece * 16)
        : "memory");
  }
}

// Probabilities as the next multiplication's operand.
template <class Scores, class Probabilities>
__device__ __forceinline__ void Pack(const Scores& scores,
                                     Probabilities& probabilities) {
  uint32_t* pairs = reinterpret_cast<uint32_t*>(probabilities.data());
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    pairs[i] = PackBf16(scores(2 * i), scores(2 * i + 1));
  }
}

// Clears the values of a tile's own block, in tile i, from its row `num_rows`
// on: a page holds anything past its last token, and 0 * NaN is NaN.
template <class Ring>
__device__ __forceinline__ void ClearPastRows(Ring& ring, uint32_t i,
                                              int num_rows) {
  if (num_rows == kBlockSize) return;
  ring.WaitFull(i);
  constexpr int kWords =
      kBoxBytes / kBlockSize / sizeof(uint4);  // of a box row
  const int num_words = (kBlockSize - num_rows) * kWords;
  for (int c = 0; c < Ring::kHeadDim; c += kBoxChannels) {
    uint4* words =
        reinterpret_cast<uint4*>(ring.tiles[i % Ring::kSlots] + c * kBlockSize);
    for (int j = WarpgroupThread(); j < num_words; j += 128) {
      words[num_rows * kWords + j] = make_uint4(0, 0, 0, 0);
    }
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  WarpgroupBarrier();
}

// Keeps nothing of a block but its part in the result.
struct NoObserver {
  __device__ __forceinline__ void Block(const RowWork& /*rows*/,
                                        uint32_t /*blocks_left*/,
                                        const OnlineSoftmax& /*softmax*/,
                                        const BlockScores& /*block*/) const {}
  __device__ __forceinline__ void Rows(const RowWork& /*rows*/,
                                       const OnlineSoftmax& /*softmax*/) const {
  }
};

// Attends rows until the producer has no more. By a whole warpgroup. While each
// block's values are multiplied, `observer` is told what its scores came to,
// with how many blocks of the rows follow; and of the rows, at their end.
template <class Ring, class Observer>
__device__ void Consume(const PrefillParams& params, const Observer& observer,
                        Ring& ring) {
  using namespace cute;  // shapes and layouts: _, _64, Int
  constexpr int kHeadDim = Ring::kHeadDim;
  auto score_mma = make_tiled_mma(ScoreMma{});
  auto output_mma = make_tiled_mma(typename TileMma<kHeadDim>::Outputs{});
  // Operands in shared memory are the same for all threads.
  const auto score_thread = score_mma.get_thread_slice(0);
  const auto output_thread = output_mma.get_thread_slice(0);
  const auto key_tiles = score_thread.partition_fragment_B(
      make_tensor(make_smem_ptr(ring.tiles[0]), typename Ring::KeyLayout{}));
  const auto value_tiles = output_thread.partition_fragment_B(
      make_tensor(make_smem_ptr(ring.tiles[0]), typename Ring::ValueLayout{}));

  auto scores = partition_fragment_C(score_mma, Shape<_64, _64>{});
  auto outputs = partition_fragment_C(output_mma, Shape<_64, Int<kHeadDim>>{});
  auto probabilities =
      make_tensor<Element>(make_layout(Shape<Shape<_2, _2, _2>, _1, _4>{}));

  auto queries = make_tensor<Element>(
      make_layout(Shape<Shape<_2, _2, _2>, _1, Int<kHeadDim / 16>>{}));

  // Tile i.
  const auto load_queries = [&](uint32_t i, int copy_index) {
    ring.WaitFull(i);
    const RowWork& work = ring.work[i % Ring::kSlots];
    CopyWork(work, &ring.Rows(copy_index), WarpgroupThread() % 32);
    LoadQueries<kHeadDim>(ring.tiles[i % Ring::kSlots], queries);
    __syncwarp();
    ring.Release(i);
  };
  const auto start_scores = [&](uint32_t i) {  // of the keys in tile i
    Multiply(score_mma, queries, key_tiles(_, _, _, i % Ring::kSlots), scores,
             false);
  };
  const auto start_outputs = [&](uint32_t i) {  // of the values in tile i
    ring.WaitFull(i);
    Multiply(output_mma, probabilities, value_tiles(_, _, _, i % Ring::kSlots),
             outputs, true);
  };

  uint32_t tile = 0;
  int copy_index = 0;
  OnlineSoftmax softmax;
  float rescale[2];
  load_queries(tile, copy_index);
  if (ring.Rows(copy_index).part.num_rows == 0) return;
  ring.WaitFull(tile + 1);
  start_scores(tile + 1);
  bool more = true;
  do {
    const uint32_t end = tile + 1 + 2 * ring.Rows(copy_index).num_blocks;
    softmax = OnlineSoftmax();
    clear(outputs);
    warpgroup_wait<0>();
    warpgroup_fence_operand(scores);
    ring.Release(tile + 1);
    if (ring.Rows(copy_index).first_masked) {
      MaskDiagonal(scores);
      ClearPastRows(ring, tile + 2, ring.Rows(copy_index).part.num_rows);
    }
    BlockScores block = softmax.Update<32>(scores, params.scale_log2, rescale);
    Pack(scores, probabilities);
    for (uint32_t i = tile + 3; i != end; i += 2) {
      start_outputs(i - 1);
      observer.Block(ring.Rows(copy_index), (end - i) / 2, softmax, block);
      warpgroup_wait<0>();
      warpgroup_fence_operand(outputs);
      ring.Release(i - 1);
      ring.WaitFull(i);
      start_scores(i);
      warpgroup_wait<0>();
      warpgroup_fence_operand(scores);
      ring.Release(i);
      block = softmax.Update<32>(scores, params.scale_log2, rescale);
#pragma unroll
      for (int j = 0; j < kHeadDim / 2; ++j) {
        outputs(j) *= rescale[j / 2 % 2];
      }
      Pack(scores, probabilities);
    }
    start_outputs(end - 1);
    observer.Block(ring.Rows(copy_index), 0, softmax, block);
    observer.Rows(ring.Rows(copy_index), softmax);
    tile = end;
    load_queries(tile, copy_index ^ 1);
    more = ring.Rows(copy_index ^ 1).part.num_rows != 0;
    warpgroup_wait<0>();
    warpgroup_fence_operand(outputs);
    ring.Release(tile - 1);
    // The next rows' first scores are computed while these rows are written;
    // if there are none, scores of whatever is there.
    if (more) ring.WaitFull(tile + 1);
    start_scores(tile + 1);
    WriteRows(params, ring.Rows(copy_index), ring, outputs, softmax);
    __syncwarp();  // all lanes have read this copy
    copy_index ^= 1;
  } while (more);
  warpgroup_wait<0>();
  warpgroup_fence_operand(scores);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_CONSUMER_CUH_
