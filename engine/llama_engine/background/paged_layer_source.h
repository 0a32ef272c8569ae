// The engine's own model as calibration's base model, in pages that no request
// wants.
#ifndef SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_PAGED_LAYER_SOURCE_H_
#define SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_PAGED_LAYER_SOURCE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/plan/tile_spans.h"
#include "engine/calibration/run/layer_source.h"
#include "engine/kv_cache/kv_cache.h"
#include "engine/kv_cache/page_allocator.h"
#include "engine/model/layer_pass/layer_pass.h"
#include "engine/model/llama_model.h"
#include "engine/scheduler/scheduler.h"
#include "kernels/block_sets.h"

namespace seer {

// Keys of one layer at a time suffice, so a page of the cache holds as many
// blocks of the sequence as there are layers. On the engine's thread.
class PagedLayerSource final : public LayerSource {
 public:
  // All borrowed.
  struct Parts {
    LlamaModel* model = nullptr;
    const KvCache* cache = nullptr;
    PageAllocator* pages = nullptr;
    const Scheduler* scheduler = nullptr;
  };
  explicit PagedLayerSource(const Parts& parts) : parts_(parts) {}
  ~PagedLayerSource() override { EndSequence(); }
  PagedLayerSource(const PagedLayerSource&) = delete;
  PagedLayerSource& operator=(const PagedLayerSource&) = delete;

  // Pages of a cache that a sequence takes.
  static int64_t PagesNeeded(int64_t sequence_len, int32_t num_layers);

  // False: too few pages are free, or a request waits for some.
  absl::StatusOr<bool> BeginSequence(std::vector<TokenId> tokens) override;
  absl::StatusOr<LayerTruth> Run(int32_t layer, const TileSpan& span,
                                 const WantedTargets& wanted) override;
  absl::Status AddOutputErrors(const BlockSets& sets, double* sums) override;
  void EndSequence() override;

 private:
  const Parts parts_;
  std::vector<PageId> pages_;        // held
  std::unique_ptr<LayerPass> pass_;  // null: no sequence is under way
};

// Spans that suit a model: of a thousand rows and more on a GPU, and on the CPU
// of a few tiles, each about as long as a small step.
SpanLimits SpanLimitsFor(const LlamaModel& model);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_BACKGROUND_PAGED_LAYER_SOURCE_H_
