// A dense pass of one sequence through a model, one layer of one range of tiles
// at a time: what gates are calibrated on. No torch.
//
//   SEER_ASSIGN_OR_RETURN(auto pass, model.BeginLayerPass(tokens, kv, pages));
//   for each layer, and each range of its tiles in order:
//     SEER_RETURN_IF_ERROR(pass->Run(layer, first, last, {.mass = true},
//     &view));
#ifndef SEER_ENGINE_MODEL_LAYER_PASS_LAYER_PASS_H_
#define SEER_ENGINE_MODEL_LAYER_PASS_LAYER_PASS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/transfer_buffer.h"
#include "engine/token.h"
#include "kernels/block_sets.h"
#include "kernels/paged_kv.h"
#include "kernels/ragged_batch.h"

namespace seer {

class DenseLayers;
struct ModelParts;
struct StepInputs;

// What is wanted of a range's attention.
struct LayerPassTargets {
  // Which of PoolAttention's targets.
  bool max = false;
  bool mass = false;
  // Whether AddOutputErrors may follow: what the range's attention read and
  // wrote is then kept until the next Run.
  bool output = false;
};

// What a call has computed; the device's memory, whose work may still be in its
// stream. Valid until the pass's next Run or end.
struct LayerRangeView {
  // Raw pools of the range's queries, as QkPrepareArgs::pooled_queries: fp32
  // [last_tile - first_tile, Hq, kNumPools, D].
  const float* pooled_queries = nullptr;
  // Raw pools of all key blocks so far, in their order: fp32
  // [last_tile, Hk, kNumPools, D].
  const float* pooled_keys = nullptr;
  // As AttentionPoolingArgs has them: fp32
  // [last_tile - first_tile, Hq, row_len]; null: not wanted.
  const float* max_target = nullptr;
  const float* mass_target = nullptr;
  int64_t row_len = 0;  // last_tile
};

// Between calls it holds the residual stream of all rows, the pools of one
// layer's keys and what `output` keeps of one range; during one, beside what
// its rows take, the targets' workspace, of the range's tiles times the
// sequence's blocks. The model's steps may run between calls. One thread, that
// of the model.
class LayerPass {
 public:
  // LlamaModel::BeginLayerPass.
  static absl::StatusOr<std::unique_ptr<LayerPass>> Make(
      const ModelParts& model, absl::Span<const TokenId> tokens,
      const PagedKv& kv, absl::Span<const int32_t> pages);

  // Waits for its work.
  ~LayerPass();
  LayerPass(const LayerPass&) = delete;
  LayerPass& operator=(const LayerPass&) = delete;

  // Enqueues the work of tiles [first_tile, last_tile) in `layer`: exactly that
  // of a dense step of these rows. Of the last layer only what `view` shows is
  // computed. Layers ascend from 0; the ranges of a layer ascend without a gap
  // from tile 0 to the last, and may differ in length and from layer to layer.
  //
  // INVALID_ARGUMENT: another layer or range is next; nothing has changed.
  // RESOURCE_EXHAUSTED: no memory for a range so long. INTERNAL: an operator or
  // the device failed. FAILED_PRECONDITION: after either, which end the pass.
  absl::Status Run(int32_t layer, int64_t first_tile, int64_t last_tile,
                   LayerPassTargets targets, LayerRangeView* view);

  // Adds to sums[h], double [Hq] of the device's memory, the squared error that
  // query head h of the last Run's range would bring to the residual stream if
  // it read the blocks of `sets` alone: the sum over its rows of
  // |(o - o') W_h|^2, with o the head's output of dense attention, o' that over
  // the sets, both of the model's dtype, and W_h [D, H] the head's part of the
  // output projection. Of empty sets that is what reading everything is worth.
  //
  // `sets`: of the range's tiles and all heads, [last_tile - first_tile, Hq] on
  // the device; bits not null, words for last_tile blocks. Any number of times
  // after a Run whose output is wanted; enqueued like it.
  //
  // INVALID_ARGUMENT: sets of another shape; nothing has changed.
  // FAILED_PRECONDITION: no output was kept, or the pass has ended. Others,
  // which end it: as Run's.
  absl::Status AddOutputErrors(const BlockSets& sets, double* sums);

  int64_t num_tiles() const {
    return NumBlocks(static_cast<int64_t>(tokens_.size()));
  }

 private:
  LayerPass(Device* device, absl::Span<const TokenId> tokens,
            absl::Span<const int32_t> pages);
  absl::Status CheckNext(int32_t layer, int64_t first_tile,
                         int64_t last_tile) const;
  // The range's inputs, unless the device has them from the call before, as it
  // does where a layer is one range.
  absl::Status Send(int64_t first_tile, int64_t last_tile);
  // What `enqueue`, of work that reads the current inputs, returns; unless that
  // is OK the pass has ended.
  absl::Status Enqueue(absl::FunctionRef<absl::Status()> enqueue);

  Device* const device_;
  const std::vector<TokenId> tokens_;
  const std::vector<int32_t> pages_;
  std::unique_ptr<DenseLayers> layers_;
  // For two calls in turn.
  TransferBuffer inputs_;
  std::array<std::unique_ptr<DeviceClock>, 2> clocks_;
  int turn_ = 0;
  std::unique_ptr<StepInputs> sent_;  // of the last range:
  int64_t sent_first_tile_ = 0;
  int64_t sent_last_tile_ = 0;
  int32_t next_layer_ = 0;
  int64_t next_tile_ = 0;
  bool failed_ = false;
};

// LlamaModel::LayerPassBytes; read of `model`: its config, dtype and device.
int64_t LayerPassBytes(const ModelParts& model, int64_t num_tokens,
                       int64_t num_tiles);

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_LAYER_PASS_LAYER_PASS_H_
