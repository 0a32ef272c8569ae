#include "kernels/attention/cuda/prefill_kernel.cuh"
#include "kernels/attention_pooling/cuda/pooled_prefill.h"
#include "kernels/cuda/arithmetic.cuh"

namespace seer {
namespace cuda {
namespace {

// Writes the logs; those of a block while its values are multiplied.
struct LogWriter {
  RowLogs logs;

  __device__ __forceinline__ void Block(const RowWork& rows,
                                        uint32_t blocks_left,
                                        const OnlineSoftmax& softmax,
                                        const BlockScores& block) const {
    const uint32_t thread = WarpgroupThread();
    // A quad has the maxima and the sums of two rows: a value for each lane.
    const bool second_row = thread & 1;
    float sum = second_row ? block.sum[1] : block.sum[0];
    const float other = second_row ? block.sum[0] : block.sum[1];
    sum += __shfl_xor_sync(kAllLanes, other, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    const float max = second_row ? block.log2_max[1] : block.log2_max[0];
    const float reference =
        second_row ? softmax.Log2Max(1) : softmax.Log2Max(0);
    const float log2_sum = Log2(sum) + (reference - max);
    const PromptPart& part = rows.part;
    const int lowest_block =
        part.visible_blocks - part.first_rank - rows.num_blocks;
    logs.Block(part.tile, rows.head, lowest_block + blocks_left)[thread] =
        thread & 2 ? log2_sum : max;
  }

  __device__ __forceinline__ void Rows(const RowWork& rows,
                                       const OnlineSoftmax& softmax) const {
    const uint32_t thread = WarpgroupThread();
    const float sums[2] = {softmax.Sum(0), softmax.Sum(1)};
    if (thread % 4 != 0) return;
    const PromptPart& part = rows.part;
    float* const to =
        logs.Part(part.tile, rows.head, part.first_rank / part.num_ranks);
    *reinterpret_cast<float4*>(to + thread) =
        make_float4(softmax.Log2Max(0), softmax.Log2Max(1), sums[0], sums[1]);
  }
};

}  // namespace

cudaError_t LaunchPooledPrefill(const PrefillParams& params,
                                const PrefillMaps& maps, const RowLogs& logs,
                                int head_dim, cudaStream_t stream) {
  LogWriter writer;
  writer.logs = logs;
  return head_dim == 128 ? LaunchObserved<128>(params, maps, writer, stream)
                         : LaunchObserved<64>(params, maps, writer, stream);
}

}  // namespace cuda
}  // namespace seer
