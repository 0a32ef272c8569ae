#include "engine/llama_engine/background/paged_layer_source.h"

#include <algorithm>

#include "base/status_macros.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

constexpr int64_t kCpuTiles = 4;
// Multiplications by a layer's weights that take a GPU a few milliseconds, and
// more of its time than enqueueing them takes of the host's: 64 tiles of
// Llama-3.1-8B.
constexpr int64_t kGpuMultiplications = 900'000'000'000;

int64_t GpuTiles(int64_t multiplications_a_row) {
  return std::max<int64_t>(
      kCpuTiles, kGpuMultiplications / (multiplications_a_row * kBlockSize));
}

}  // namespace

int64_t PagedLayerSource::PagesNeeded(int64_t sequence_len,
                                      int32_t num_layers) {
  return (NumBlocks(sequence_len) + num_layers - 1) / num_layers;
}

absl::StatusOr<bool> PagedLayerSource::BeginSequence(
    std::vector<TokenId> tokens) {
  const int64_t num_pages = PagesNeeded(static_cast<int64_t>(tokens.size()),
                                        parts_.model->config().num_layers);
  if (parts_.scheduler->waits_for_pages() ||
      !parts_.pages->TryReserve(num_pages)) {
    return false;
  }
  for (int64_t i = 0; i < num_pages; ++i) {
    pages_.push_back(parts_.pages->Take());
  }
  absl::StatusOr<std::unique_ptr<LayerPass>> pass =
      parts_.model->BeginLayerPass(tokens, parts_.cache->AllPlanes(),
                                   parts_.cache->PlanesOf(pages_));
  if (!pass.ok()) {
    EndSequence();
    return pass.status();
  }
  pass_ = *std::move(pass);
  return true;
}

absl::StatusOr<LayerTruth> PagedLayerSource::Run(int32_t layer,
                                                 const TileSpan& span,
                                                 const WantedTargets& wanted) {
  LayerRangeView view;
  SEER_RETURN_IF_ERROR(pass_->Run(layer, span.first, span.last,
                                  {wanted.max, wanted.mass, wanted.output},
                                  &view));
  LayerTruth truth;
  truth.pooled_queries = view.pooled_queries;
  truth.pooled_keys = view.pooled_keys;
  truth.max_target = view.max_target;
  truth.mass_target = view.mass_target;
  truth.row_len = view.row_len;
  return truth;
}

absl::Status PagedLayerSource::AddOutputErrors(const BlockSets& sets,
                                               double* sums) {
  return pass_->AddOutputErrors(sets, sums);
}

void PagedLayerSource::EndSequence() {
  pass_.reset();
  for (const PageId page : pages_) parts_.pages->Release(page);
  pages_.clear();
}

SpanLimits SpanLimitsFor(const LlamaModel& model) {
  const ModelConfig& config = model.config();
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_query_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  // Multiplications of a row: by the layer's weights, and by the keys and the
  // values of each block that it attends to.
  const int64_t by_weights =
      hidden * (2 * queries + 2 * keys + 3 * int64_t{config.intermediate_size});
  const int64_t by_block = 2 * queries * kBlockSize;
  SpanLimits limits;
  limits.max_tiles = model.is_asynchronous() ? GpuTiles(by_weights) : kCpuTiles;
  limits.attention_tiles = std::max<int64_t>(1, by_weights / by_block);
  limits.num_query_heads = config.num_query_heads;
  return limits;
}

}  // namespace seer
