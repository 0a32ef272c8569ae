// The unit of work of the CPU attention: query rows that read the same blocks
// of one KV head. Panels know nothing of batches, tiles or sets.
#ifndef SEER_KERNELS_ATTENTION_CPU_PANEL_H_
#define SEER_KERNELS_ATTENTION_CPU_PANEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <new>

#include "absl/types/span.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {

constexpr int kPanelRows = 64;

// One block of one KV head: dtype [64, head_dim] each, contiguous.
struct KvBlock {
  const void* keys = nullptr;
  const void* values = nullptr;
};

// What one block's scores, score * scale, come to in each row of a panel, for
// ops that want to know where probability lies; in the kernel's own unit
// (panel_kernel.h). Rows past a panel's hold anything.
struct BlockScores {
  // The row's largest score of the blocks up to this one.
  std::array<float, kPanelRows> references;
  // The largest score of the block that the row sees, less the reference.
  std::array<float, kPanelRows> maxima;
  // Sum of exp(score - reference). After the panel, PanelScratch::sums() has
  // that of all blocks, relative to the last one's reference.
  std::array<float, kPanelRows> sums;
};

// Rows, and where their results go. A row's result depends on its query, the
// blocks and its own last_block_keys only: not, in any bit, on the other rows.
struct Panel {
  DType dtype = DType::kBFloat16;  // of queries and blocks
  int32_t head_dim = 0;            // even, <= kMaxHeadDim
  float scale = 0.0f;
  int32_t num_rows = 0;                         // 1..kPanelRows
  std::array<const void*, kPanelRows> queries;  // dtype [head_dim] each
  absl::Span<const KvBlock> blocks;             // >= 1, in this order
  // How many keys of the last block each row sees, 1..64. Of the other blocks
  // a row sees all 64. Keys that no row sees are not read as numbers.
  std::array<int32_t, kPanelRows> last_block_keys;

  DType out_dtype = DType::kBFloat16;  // dtype, or kFloat32
  // Each null: not wanted.
  std::array<void*, kPanelRows> outs;  // out_dtype [head_dim] each
  std::array<float*, kPanelRows> log_sum_exps;
  BlockScores* block_scores = nullptr;  // [blocks.size()]; null: not wanted
};

// Memory for one panel at a time, 64-byte aligned. A worker keeps one.
class PanelScratch {
 public:
  explicit PanelScratch(int head_dim)
      : padded_dim_((head_dim + 31) / 32 * 32),
        memory_(new (std::align_val_t{
            64}) float[4 * kPanelRows * padded_dim_ + kPanelRows * kBlockSize +
                       2 * kPanelRows]) {}

  // head_dim rounded up to 32.
  int padded_dim() const { return padded_dim_; }
  float* queries() { return memory_.get(); }            // [64, padded]
  float* outputs() { return queries() + PanelSize(); }  // [64, padded]
  float* keys() { return outputs() + PanelSize(); }     // [64, padded]
  float* values() { return keys() + PanelSize(); }      // [64, padded]
  float* scores() { return values() + PanelSize(); }    // [64, 64]
  float* maxima() { return scores() + kPanelRows * kBlockSize; }  // [64]
  float* sums() { return maxima() + kPanelRows; }                 // [64]

 private:
  struct Free {
    void operator()(float* p) const {
      ::operator delete[](p, std::align_val_t{64});
    }
  };
  int PanelSize() const { return kPanelRows * padded_dim_; }

  int padded_dim_;
  std::unique_ptr<float[], Free> memory_;
};

// Attends one panel. Sums are fp32; probabilities may be rounded to dtype
// before they meet the values.
using PanelKernel = void (*)(const Panel& panel, PanelScratch& scratch);

}  // namespace seer

#endif  // SEER_KERNELS_ATTENTION_CPU_PANEL_H_
