// The kernel of prompt tiles, and its launch, for attention and for ops that
// also want to know what each block's scores come to.
#ifndef SEER_KERNELS_ATTENTION_CUDA_PREFILL_KERNEL_CUH_
#define SEER_KERNELS_ATTENTION_CUDA_PREFILL_KERNEL_CUH_

#include <cutlass/arch/reg_reconfig.h>

#include <algorithm>
#include <cstdint>

#include "kernels/attention/cuda/consumer.cuh"
#include "kernels/attention/cuda/prefill.h"
#include "kernels/attention/cuda/producer.cuh"
#include "kernels/attention/cuda/tile_ring.cuh"

namespace seer {
namespace cuda {

constexpr int kWarpgroup = 128;

// How a thread block is made up: one warpgroup whose warps produce, and
// warpgroups that consume, each with a ring and rows of its own. While one
// computes exponentials another has the tensor cores.
template <int kHeadDim>
struct PrefillBlock {
  static constexpr int kConsumers = kHeadDim == 128 ? 3 : 4;
  static constexpr int kThreads = kWarpgroup * (1 + kConsumers);
  // Registers of a thread; a block's are at most 65536.
  static constexpr int kProducerRegisters = 32;
  static constexpr int kConsumerRegisters = kHeadDim == 128 ? 160 : 112;

  TileRing<kHeadDim> rings[kConsumers];
};

template <int kHeadDim, class Observer>
__global__ void __launch_bounds__(PrefillBlock<kHeadDim>::kThreads, 1)
    PrefillKernel(const __grid_constant__ PrefillMaps maps,
                  const __grid_constant__ PrefillParams params,
                  const __grid_constant__ WorkOrder order,
                  const __grid_constant__ Observer observer) {
  using Block = PrefillBlock<kHeadDim>;
  extern __shared__ uint8_t memory[];
  // Rounded up by an offset, so that the compiler still knows it for shared.
  Block& block = *reinterpret_cast<Block*>(
      memory + (0u - cute::cast_smem_ptr_to_uint(memory)) % alignof(Block));
  if (threadIdx.x == 0) {
    for (auto& ring : block.rings) ring.Initialize();
    cutlass::arch::fence_barrier_init();
  }
  __syncthreads();

  const int warpgroup = threadIdx.x / kWarpgroup;
  if (warpgroup == 0) {
    cutlass::arch::warpgroup_reg_dealloc<Block::kProducerRegisters>();
    const int warp = threadIdx.x / 32;
    if (warp < Block::kConsumers) {
      Producer<TileRing<kHeadDim>> producer(params, order, maps,
                                            &block.rings[warp]);
      producer.Run(warp * gridDim.x + blockIdx.x,
                   Block::kConsumers * gridDim.x);
    }
  } else {
    cutlass::arch::warpgroup_reg_alloc<Block::kConsumerRegisters>();
    Consume(params, observer, block.rings[warpgroup - 1]);
  }
}

// Bytes of keys and values that rows in flight may share the L2 cache with.
constexpr int64_t kSegmentBytes = int64_t{36} << 20;

inline WorkOrder MakeWorkOrder(const PrefillParams& params, int head_dim) {
  const int64_t head_bytes =
      params.num_key_blocks * 2 * kBlockSize * head_dim * sizeof(Element);
  int segment_kv_heads = params.num_kv_heads;
  while (segment_kv_heads > 1 &&
         (params.num_kv_heads % segment_kv_heads != 0 ||
          segment_kv_heads * head_bytes > kSegmentBytes)) {
    --segment_kv_heads;
  }
  const int group = params.num_query_heads / params.num_kv_heads;
  const int num_whole_parts = params.num_parts - params.num_split_parts;
  const int segment_heads = segment_kv_heads * group;
  WorkOrder order;
  order.num_items = params.num_parts * params.num_query_heads;
  order.num_split_items = params.num_split_parts * params.num_query_heads;
  order.num_split_parts = params.num_split_parts;
  order.num_heads = cutlass::FastDivmod(params.num_query_heads);
  order.segment_heads = cutlass::FastDivmod(segment_heads);
  order.segment_items =
      cutlass::FastDivmod(std::max(1, num_whole_parts * segment_heads));
  order.group = cutlass::FastDivmod(group);
  return order;
}

// Enqueues the attention of every part; `observer` (consumer.cuh) goes along.
template <int kHeadDim, class Observer>
cudaError_t LaunchObserved(const PrefillParams& params, const PrefillMaps& maps,
                           const Observer& observer, cudaStream_t stream) {
  using Block = PrefillBlock<kHeadDim>;
  constexpr int kSharedBytes = sizeof(Block) + alignof(Block);
  int device = 0;
  int num_processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&num_processors,
                                 cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  const auto kernel = PrefillKernel<kHeadDim, Observer>;
  error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  if (error != cudaSuccess) return error;
  const WorkOrder order = MakeWorkOrder(params, kHeadDim);
  const uint32_t num_blocks =
      std::min<uint32_t>(num_processors, order.num_items);
  kernel<<<num_blocks, Block::kThreads, kSharedBytes, stream>>>(
      maps, params, order, observer);
  return cudaGetLastError();
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CUDA_PREFILL_KERNEL_CUH_
