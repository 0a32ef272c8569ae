#include "engine/model/step/decoder.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <vector>

#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/model/aten/aten.h"
#include "engine/model/layer/layer_args.h"
#include "engine/model/step/step_logits.h"
#include "kernels/attention/attention.h"

namespace seer {
namespace {

int32_t RoundUpToPowerOfTwo(int32_t count) {
  int32_t power = 1;
  while (power < count) power *= 2;
  return power;
}

}  // namespace

int32_t Decoder::RowsOf(Backend backend, int32_t num_rows) {
  return backend == Backend::kCuda ? RoundUpToPowerOfTwo(num_rows) : num_rows;
}

bool Decoder::Takes(const ForwardArgs& args) {
  return !args.trace && args.sequences.size() <= kMaxRows &&
         std::all_of(args.sequences.begin(), args.sequences.end(),
                     [](const BatchSequence& s) {
                       return !s.is_prompt() && s.tokens.size() == 1 &&
                              s.draws.size() <= 1 && s.scored.empty() &&
                              s.drawn_scores == nullptr;
                     });
}

Decoder::Decoder(const ModelParts& model, bool replays)
    : model_(model),
      tensors_(DecodeTensors::Make(model, kMaxRows)),
      replays_(replays) {}

absl::StatusOr<StepInputs> Decoder::Send(const ForwardArgs& args,
                                         const BatchLayout& layout,
                                         StepResults& results) {
  const int32_t rows =
      RowsOf(model_.device->backend(), layout.batch().num_rows);
  SEER_ASSIGN_OR_RETURN(
      StepInputs inputs,
      SendStepInputs(layout,
                     LimitsOf(*model_.config, args.cache->shape().num_pages),
                     model_.inputs, rows));
  inputs.plan.max_generated_blocks =
      RoundUpToPowerOfTwo(inputs.plan.max_generated_blocks);
  StepResults::Shape shape;
  shape.num_sequences = rows;
  shape.num_draws = inputs.num_draws;
  shape.vocab_size = model_.config->vocab_size;
  shape.logits_rows = LogitsRowsAtOnce(layout, shape.vocab_size);
  SEER_RETURN_IF_ERROR(results.Reserve(shape));
  return inputs;
}

DecodeStep Decoder::MakeStep(const StepInputs& inputs, const KvCache& cache,
                             const StepResults& results) {
  DecodeStep::Init init;
  init.inputs = inputs;
  for (int32_t l = 0; l < model_.config->num_layers; ++l) {
    init.layers.push_back(cache.layer(l));
  }
  const int64_t bytes = AttentionWorkspaceBytes(
      model_.device->backend(),
      AttentionOf(model_, inputs, tensors_.queries.const_data_ptr(),
                  init.layers[0], tensors_.attention.mutable_data_ptr()));
  if (!workspace_.defined() || workspace_.numel() < bytes) {
    // Recordings have the old one in them, so it must be told from any later.
    graphs_.clear();
    workspace_ = at::Tensor();
    workspace_ = at::empty({bytes}, at::TensorOptions(at::kByte).device(
                                        AtenDevice(*model_.device)));
  }
  init.stream = model_.device->stream();
  init.stream.workspace = workspace_.mutable_data_ptr();
  init.stream.workspace_bytes = workspace_.numel();
  init.drawn = results.drawn();
  return DecodeStep(model_, tensors_, std::move(init));
}

absl::StatusOr<bool> Decoder::Enqueue(const DecodeStep& step,
                                      const Shape& shape, const Places& places,
                                      DeviceClock* clock) {
  if (places != places_) graphs_.clear();
  places_ = places;
  if (replays_) {
    const auto [found, is_new] = graphs_.try_emplace(shape);
    std::unique_ptr<DeviceGraph>& graph = found->second;
    if (!is_new && graph == nullptr) {
      absl::StatusOr<std::unique_ptr<DeviceGraph>> recorded =
          model_.device->Record([step] { return step.Enqueue(nullptr); });
      if (recorded.ok()) {
        graph = *std::move(recorded);
      } else {
        Log(LogLevel::kWarning, "steps are enqueued one by one from now on",
            {{"why", recorded.status().ToString()}});
        replays_ = false;
      }
    }
    if (graph != nullptr) {
      SEER_RETURN_IF_ERROR(graph->Enqueue());
      ++num_replays_;
      return true;
    }
  }
  SEER_RETURN_IF_ERROR(step.Enqueue(clock));
  return false;
}

absl::StatusOr<LaunchedStep::Work> Decoder::Launch(const ForwardArgs& args,
                                                   BatchLayout& layout,
                                                   DeviceClock* clock) {
  StepResults results(model_.results);
  SEER_ASSIGN_OR_RETURN(const StepInputs inputs, Send(args, layout, results));
  const DecodeStep step = MakeStep(inputs, *args.cache, results);
  const PagedKv kv = args.cache->layer(0);
  const Places places = {
      inputs.batch.sequences,  // the other inputs are at fixed offsets
      results.drawn(),         // and the other results
      workspace_.const_data_ptr(),
      kv.pages,
      kv.pooled_keys,
      args.cache->layer(model_.config->num_layers - 1).pages,
      reinterpret_cast<const void*>(kv.num_pages)};
  SEER_ASSIGN_OR_RETURN(
      const bool replayed,
      Enqueue(step, {inputs.batch.num_rows, inputs.plan.max_generated_blocks},
              places, clock));
  SEER_RETURN_IF_ERROR(Fetch(args, layout, inputs, results));
  std::vector<int32_t> drawn_places;
  for (const BatchLayout::RowToken& draw : layout.draws()) {
    drawn_places.push_back(draw.row);
  }
  return LaunchedStep::Work{std::move(layout), results, std::move(drawn_places),
                            !replayed};
}

absl::Status Decoder::Fetch(const ForwardArgs& args, const BatchLayout& layout,
                            const StepInputs& inputs, StepResults& results) {
  const int64_t num_wanted = static_cast<int64_t>(layout.logits_rows().size());
  const int64_t vocab_size = model_.config->vocab_size;
  const int64_t rows_at_once = LogitsRowsAtOnce(layout, vocab_size);
  if (num_wanted == 0) return results.Fetch(0);
  for (int64_t first = 0; first < num_wanted; first += rows_at_once) {
    const int64_t count = std::min(rows_at_once, num_wanted - first);
    const at::Tensor wanted =
        ViewOf(inputs.wanted_rows + first, {count}, at::kLong, *model_.device);
    ViewOf(results.logits(), {count, vocab_size}, at::kFloat, *model_.device)
        .copy_(at::index_select(tensors_.logits, 0, wanted));
    SEER_RETURN_IF_ERROR(results.Fetch(count));
    SEER_RETURN_IF_ERROR(model_.device->Synchronize());
    SEER_RETURN_IF_ERROR(GiveLogits(args, layout, results, first, count));
  }
  return absl::OkStatus();
}

}  // namespace seer
