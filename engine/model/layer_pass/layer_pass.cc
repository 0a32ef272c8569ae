#include "engine/model/layer_pass/layer_pass.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread/executor.h"
#include "engine/model/aten/aten.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/batch/batch_sequence.h"
#include "engine/model/batch/step_inputs.h"
#include "engine/model/layer/layer_args.h"
#include "engine/model/layer/residual.h"
#include "engine/model/layer_pass/dense_layers.h"
#include "engine/model/layer_pass/output_error.h"
#include "engine/model/parts/model_parts.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/dtype.h"

namespace seer {
namespace {

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("layer pass: ", what));
}

absl::Status CheckTokens(const ModelConfig& config,
                         absl::Span<const TokenId> tokens) {
  const int64_t num_tokens = tokens.size();
  if (num_tokens < 1 || num_tokens > config.context_len) {
    return Invalid(
        absl::StrCat(num_tokens, " tokens, of 1 to ", config.context_len));
  }
  for (const TokenId token : tokens) {
    if (token < 0 || token >= config.vocab_size) {
      return Invalid(
          absl::StrCat("token ", token, " is none of the vocabulary"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPages(int64_t num_blocks, const PagedKv& kv,
                        absl::Span<const int32_t> pages) {
  if (static_cast<int64_t>(pages.size()) < num_blocks) {
    return Invalid(
        absl::StrCat(pages.size(), " pages for ", num_blocks, " blocks"));
  }
  std::vector<int32_t> sorted(pages.begin(), pages.begin() + num_blocks);
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() < 0 || sorted.back() >= kv.num_pages) {
    return Invalid("a page that the cache has not");
  }
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return Invalid("a page for two blocks");
  }
  return absl::OkStatus();
}

}  // namespace

LayerPass::LayerPass(Device* device, absl::Span<const TokenId> tokens,
                     absl::Span<const int32_t> pages)
    : device_(device),
      tokens_(tokens.begin(), tokens.end()),
      pages_(pages.begin(), pages.begin() + num_tiles()),
      inputs_(device),
      clocks_{device->MakeClock(), device->MakeClock()},
      sent_(std::make_unique<StepInputs>()) {}

LayerPass::~LayerPass() {
  // An error shows at the device's next call too.
  device_->Synchronize().IgnoreError();
}

absl::StatusOr<std::unique_ptr<LayerPass>> LayerPass::Make(
    const ModelParts& model, absl::Span<const TokenId> tokens,
    const PagedKv& kv, absl::Span<const int32_t> pages) {
  SEER_RETURN_IF_ERROR(CheckTokens(*model.config, tokens));
  SEER_RETURN_IF_ERROR(CheckPages(NumBlocks(tokens.size()), kv, pages));
  SEER_RETURN_IF_ERROR(model.device->BindThisThread());
  std::unique_ptr<LayerPass> pass(new LayerPass(model.device, tokens, pages));
  SEER_RETURN_IF_ERROR(CatchingExceptions("beginning a layer pass", [&] {
    const c10::InferenceMode inference;
    pass->layers_ = std::make_unique<DenseLayers>(
        model, kv, pass->pages_, static_cast<int64_t>(tokens.size()));
    return absl::OkStatus();
  }));
  return pass;
}

absl::Status LayerPass::CheckNext(int32_t layer, int64_t first_tile,
                                  int64_t last_tile) const {
  if (failed_) {
    return absl::FailedPreconditionError("layer pass: an earlier range failed");
  }
  const int32_t num_layers = layers_->model().config->num_layers;
  if (layer != next_layer_ || layer >= num_layers || first_tile != next_tile_ ||
      last_tile <= first_tile || last_tile > num_tiles()) {
    return Invalid(absl::StrCat("tiles [", first_tile, ", ", last_tile,
                                ") of layer ", layer, ", next is tile ",
                                next_tile_, " of ", num_tiles(), " in layer ",
                                next_layer_, " of ", num_layers));
  }
  return absl::OkStatus();
}

absl::Status LayerPass::Send(int64_t first_tile, int64_t last_tile) {
  if (first_tile == sent_first_tile_ && last_tile == sent_last_tile_) {
    return absl::OkStatus();
  }
  turn_ = 1 - turn_;
  inputs_.Turn();
  // The call whose turn this was may still be under way.
  SEER_RETURN_IF_ERROR(clocks_[turn_]->Wait());
  const int64_t num_tokens = tokens_.size();
  const int64_t first_row = first_tile * kBlockSize;
  const int64_t last_row = std::min(last_tile * kBlockSize, num_tokens);
  BatchSequence range;
  range.tokens =
      absl::MakeConstSpan(tokens_).subspan(first_row, last_row - first_row);
  range.position_begin = static_cast<int32_t>(first_row);
  range.prompt_len = static_cast<int32_t>(num_tokens);
  range.page_table = pages_;
  SEER_ASSIGN_OR_RETURN(const BatchLayout layout,
                        BatchLayout::Build(absl::MakeConstSpan(&range, 1)));
  SEER_ASSIGN_OR_RETURN(
      *sent_,
      SendStepInputs(
          layout, LimitsOf(*layers_->model().config, layers_->kv().num_pages),
          &inputs_));
  sent_first_tile_ = first_tile;
  sent_last_tile_ = last_tile;
  return absl::OkStatus();
}

absl::Status LayerPass::Enqueue(absl::FunctionRef<absl::Status()> enqueue) {
  SEER_RETURN_IF_ERROR(device_->BindThisThread());
  failed_ = true;
  const absl::Status status = CatchingExceptions("a layer pass", [&] {
    const c10::InferenceMode inference;
    return enqueue();
  });
  // What was enqueued before an error may still read this call's arrays. If the
  // device itself failed, it says so here too.
  if (!status.ok()) {
    SEER_RETURN_IF_ERROR(device_->Synchronize());
    return status;
  }
  clocks_[turn_]->Reset();
  clocks_[turn_]->Mark();
  failed_ = false;
  return absl::OkStatus();
}

absl::Status LayerPass::Run(int32_t layer, int64_t first_tile,
                            int64_t last_tile, LayerPassTargets targets,
                            LayerRangeView* view) {
  SEER_RETURN_IF_ERROR(CheckNext(layer, first_tile, last_tile));
  SEER_RETURN_IF_ERROR(Enqueue([&]() -> absl::Status {
    SEER_RETURN_IF_ERROR(Send(first_tile, last_tile));
    return layers_->Run(*sent_, layer, first_tile, targets, view);
  }));
  const bool ends_layer = last_tile == num_tiles();
  next_layer_ += ends_layer ? 1 : 0;
  next_tile_ = ends_layer ? 0 : last_tile;
  return absl::OkStatus();
}

absl::Status LayerPass::AddOutputErrors(const BlockSets& sets, double* sums) {
  if (failed_ || !layers_->has_output()) {
    return absl::FailedPreconditionError(
        "layer pass: no output to compare with");
  }
  const int64_t last_tile = next_tile_ == 0 ? num_tiles() : next_tile_;
  if (sums == nullptr || sets.bits == nullptr || sets.counts == nullptr ||
      sets.num_query_heads != layers_->model().config->num_query_heads ||
      int64_t{sets.num_words} * 64 < last_tile) {
    return Invalid("sets that are not of the range's tiles and heads");
  }
  return Enqueue([&] { return layers_->AddOutputErrors(*sent_, sets, sums); });
}

int64_t LayerPassBytes(const ModelParts& model, int64_t num_tokens,
                       int64_t num_tiles) {
  const ModelConfig& config = *model.config;
  const Backend backend = model.device->backend();
  const int64_t element = SizeOf(model.dtype);
  const int64_t hidden = config.hidden_size;
  const int64_t queries = int64_t{config.num_query_heads} * config.head_dim;
  const int64_t keys = int64_t{config.num_kv_heads} * config.head_dim;
  const int64_t blocks = NumBlocks(num_tokens);
  const int64_t tiles = std::min(num_tiles, blocks);
  const int64_t rows = std::min(tiles * kBlockSize, num_tokens);
  const int64_t mlp_rows = std::min(rows, MlpRowsAtOnce(backend));
  const int64_t float_size = sizeof(float);

  const int64_t held =
      num_tokens * hidden * element +
      blocks * (keys * kNumPools * float_size + int64_t{sizeof(int32_t)});
  // Norm, projections, queries, attention and its projection; the MLP's norm,
  // three wide rows and its result.
  const int64_t activations =
      rows * (2 * hidden + 3 * queries + 2 * keys) * element +
      mlp_rows * (2 * hidden + 3 * int64_t{config.intermediate_size}) * element;
  // Pools, and two targets beside those of the range before.
  const int64_t outputs =
      tiles * float_size *
      (2 * queries * kNumPools + 4 * config.num_query_heads * blocks);

  StepInputs inputs;
  inputs.batch.num_rows = static_cast<int32_t>(rows);
  inputs.batch.num_tiles = static_cast<int32_t>(tiles);
  inputs.batch.num_prompt_tiles = inputs.batch.num_tiles;
  inputs.plan.num_partial_tiles = kMaxEndParts;
  PagedKv kv;
  kv.dtype = model.dtype;
  kv.num_kv_heads = config.num_kv_heads;
  kv.head_dim = config.head_dim;
  const int64_t workspace = AttentionPoolingWorkspaceBytes(
      backend, DenseLayers::PoolingOf(model, inputs, nullptr, kv, blocks));
  // A thread's, of the CPU.
  constexpr int64_t kThreadBytesPerBlock = 768;
  const int64_t threads =
      backend == Backend::kCuda
          ? 0
          : ExecutorOf(model.device->stream()).num_threads() * blocks *
                kThreadBytesPerBlock;
  // Of AddOutputErrors, beside queries and outputs: heads' products with
  // themselves, one head's part while they are made, and the errors of some
  // rows, converted, in another order, multiplied and squared.
  const int64_t errors =
      queries * config.head_dim * float_size +
      config.head_dim * (queries * element + hidden * (element + float_size)) +
      std::min(rows, kErrorRowsAtOnce) * queries * 4 * float_size;
  const int64_t bytes =
      held + activations + outputs + workspace + threads + errors;
  // The allocator cannot fill every gap.
  return bytes + bytes / 4;
}

}  // namespace seer
