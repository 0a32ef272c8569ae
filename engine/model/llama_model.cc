#include "engine/model/llama_model.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "engine/model/aten/aten.h"
#include "engine/model/batch/batch_layout.h"
#include "engine/model/layer/layer_args.h"
#include "engine/model/parts/model_parts.h"
#include "engine/model/parts/weight_source.h"
#include "engine/model/step/decoder.h"
#include "engine/model/step/forward_pass.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_pooling/attention_pooling.h"
#include "kernels/ragged_batch.h"
#include "kernels/rope.h"
#include "kernels/sample_tokens/token_draw.h"
#include "kernels/top_tokens/top_tokens.h"

namespace seer {
namespace {

// cos and sin on `device`, fp32 [num_positions, D / 2] each.
void MakeRopeTable(const RopeFrequencies& frequencies, int64_t num_positions,
                   int64_t head_dim, at::Device device, ModelTensors* tensors) {
  at::Tensor cos = at::empty({num_positions, head_dim / 2}, at::kFloat);
  at::Tensor sin = at::empty({num_positions, head_dim / 2}, at::kFloat);
  FillRopeTable(frequencies, num_positions, cos.mutable_data_ptr<float>(),
                sin.mutable_data_ptr<float>());
  tensors->rope_cos = cos.to(device);
  tensors->rope_sin = sin.to(device);
}

// What workspaces depend on, without a batch.
AttentionArgs WorkspaceArgs(const ModelConfig& config, DType dtype) {
  AttentionArgs args;
  args.dtype = dtype;
  args.num_query_heads = config.num_query_heads;
  args.kv.dtype = dtype;
  args.kv.num_kv_heads = config.num_kv_heads;
  args.kv.head_dim = config.head_dim;
  args.scale = 1.0f;
  return args;
}

// Attention's workspace for a step of `num_sequences` decode rows at the
// context's end, and beside them the ends of four long prompts.
int64_t AttentionBytes(const ModelConfig& config, DType dtype, Backend backend,
                       int64_t num_sequences) {
  AttentionArgs args = WorkspaceArgs(config, dtype);
  args.batch.num_tiles = static_cast<int32_t>(num_sequences);
  args.plan.num_partial_tiles = 4 * kMaxEndParts;
  args.plan.max_generated_blocks =
      static_cast<int32_t>(NumBlocks(config.context_len));
  args.plan.max_generated_rows = 1;
  return AttentionWorkspaceBytes(backend, args);
}

}  // namespace

LlamaModel::LlamaModel(const ModelConfig& config, DType dtype, Device* device)
    : config_(config),
      dtype_(dtype),
      device_(device),
      inputs_(device),
      results_(device),
      clocks_{device->MakeClock(), device->MakeClock()} {}

LlamaModel::~LlamaModel() = default;

absl::StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::Load(
    const ModelConfig& config, const WeightFiles& files, DType dtype,
    Device* device, const LlamaModelOptions& options) {
  FileWeights source(&files);
  return Make(config, source, dtype, device, options);
}

absl::StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::MakeRandom(
    const ModelConfig& config, uint64_t seed, DType dtype, Device* device,
    const LlamaModelOptions& options) {
  RandomWeights source(seed);
  return Make(config, source, dtype, device, options);
}

absl::StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::Make(
    const ModelConfig& config, WeightSource& source, DType dtype,
    Device* device, const LlamaModelOptions& options) {
  SEER_ASSIGN_OR_RETURN(const RopeFrequencies frequencies,
                        MakeRopeFrequencies(config.rope));
  SEER_RETURN_IF_ERROR(device->BindThisThread());
  std::unique_ptr<LlamaModel> model(new LlamaModel(config, dtype, device));
  SEER_RETURN_IF_ERROR(CatchingExceptions("loading weights", [&] {
    const c10::InferenceMode inference;
    const at::Device aten_device = AtenDevice(*device);
    auto tensors = std::make_unique<ModelTensors>();
    tensors->weights = LlamaWeights::Make(
        config, at::TensorOptions(ScalarTypeOf(dtype)).device(aten_device),
        source);
    MakeRopeTable(frequencies, config.context_len, config.head_dim, aten_device,
                  tensors.get());
    tensors->epsilon =
        at::full({1}, config.rms_norm_eps,
                 at::TensorOptions(at::kFloat).device(aten_device));
    model->tensors_ = std::move(tensors);
    if (model->is_asynchronous()) {
      model->decoder_ = std::make_unique<Decoder>(model->Parts(),
                                                  options.replay_decode_steps);
    }
    return absl::OkStatus();
  }));
  SEER_RETURN_IF_ERROR(device->Synchronize());
  return model;
}

bool LlamaModel::DrawsTokens(int32_t num_top) const {
  return is_asynchronous() && config_.vocab_size <= kMaxSampledVocabulary &&
         num_top <= std::min(kMaxTopTokens, config_.vocab_size) &&
         int64_t{num_top} * config_.vocab_size <= kMaxComparedTokens;
}

int64_t LlamaModel::weight_bytes() const {
  return tensors_->weights.num_bytes();
}

int64_t LlamaModel::StepBytes(int64_t num_rows, int64_t num_sequences) const {
  const int64_t element = SizeOf(dtype_);
  const int64_t queries = int64_t{config_.num_query_heads} * config_.head_dim;
  const int64_t keys = int64_t{config_.num_kv_heads} * config_.head_dim;
  // Of a row: the residual and its norm, the projections, queries, attention,
  // and the MLP's three wide rows and its result.
  const int64_t row_values = 4 * int64_t{config_.hidden_size} + 3 * queries +
                             2 * keys + 3 * int64_t{config_.intermediate_size};
  // Of a tile with a gate: pools, logits, sets and the gate's own.
  const int64_t num_tiles = NumBlocks(num_rows);
  const int64_t blocks = NumBlocks(config_.context_len);
  const int64_t head_bytes =
      (kNumPools + 2) * config_.head_dim * sizeof(float) +
      blocks * sizeof(float) + blocks / 8 + sizeof(int32_t);
  // Logits, in two dtypes and as a transfer buffer may have grown for them.
  constexpr int64_t kLogits = int64_t{160} << 20;
  // Workspaces and code of the GPU's libraries.
  constexpr int64_t kLibraries = int64_t{512} << 20;
  const Backend backend = device_->backend();
  int64_t attention = AttentionBytes(config_, dtype_, backend, num_sequences);
  if (decoder_ != nullptr) {
    // Decode steps keep a workspace of their own.
    const int32_t rows =
        Decoder::RowsOf(backend, static_cast<int32_t>(std::min<int64_t>(
                                     num_sequences, Decoder::kMaxRows)));
    attention += AttentionBytes(config_, dtype_, backend, rows);
  }
  // Rows that tokens are drawn from.
  const int64_t drawn = num_sequences * config_.vocab_size * element;
  const int64_t bytes = num_rows * row_values * element + drawn +
                        num_tiles * config_.num_query_heads * head_bytes +
                        attention;
  // The allocator cannot fill every gap.
  return bytes + bytes / 4 + kLogits + kLibraries;
}

int64_t LlamaModel::OracleBytes() const {
  AttentionPoolingArgs args;
  args.attention = WorkspaceArgs(config_, dtype_);
  args.attention.batch.num_tiles = BatchLayout::OracleRange::kMaxTiles;
  args.attention.batch.num_prompt_tiles = args.attention.batch.num_tiles;
  args.attention.plan.num_partial_tiles = kMaxEndParts;
  args.row_len = static_cast<int32_t>(NumBlocks(config_.context_len));
  const int64_t bytes =
      AttentionPoolingWorkspaceBytes(device_->backend(), args);
  return bytes + bytes / 4;
}

int64_t LlamaModel::LayerPassBytes(int64_t num_tokens,
                                   int64_t num_tiles) const {
  ModelParts parts;
  parts.config = &config_;
  parts.dtype = dtype_;
  parts.device = device_;
  return seer::LayerPassBytes(parts, num_tokens, num_tiles);
}

absl::StatusOr<std::unique_ptr<LayerPass>> LlamaModel::BeginLayerPass(
    absl::Span<const TokenId> tokens, const PagedKv& kv,
    absl::Span<const int32_t> pages) {
  return LayerPass::Make(Parts(), tokens, kv, pages);
}

RopeTable LlamaModel::rope() const {
  RopeTable rope;
  rope.cos = tensors_->rope_cos.const_data_ptr<float>();
  rope.sin = tensors_->rope_sin.const_data_ptr<float>();
  rope.num_positions = tensors_->rope_cos.size(0);
  rope.head_dim = config_.head_dim;
  return rope;
}

ModelParts LlamaModel::Parts() {
  ModelParts parts;
  parts.config = &config_;
  parts.dtype = dtype_;
  parts.device = device_;
  parts.tensors = tensors_.get();
  parts.inputs = &inputs_;
  parts.results = &results_;
  return parts;
}

int64_t LlamaModel::num_replays() const {
  return decoder_ == nullptr ? 0 : decoder_->num_replays();
}

absl::StatusOr<LaunchedStep::Work> LlamaModel::Enqueue(const ForwardArgs& args,
                                                       BatchLayout layout,
                                                       DeviceClock* clock) {
  const c10::InferenceMode inference;
  if (decoder_ != nullptr && Decoder::Takes(args)) {
    absl::StatusOr<LaunchedStep::Work> decoded =
        decoder_->Launch(args, layout, clock);
    if (!absl::IsUnimplemented(decoded.status())) return decoded;
    // A shape that has no kernel for it.
    decoder_ = nullptr;
    SEER_RETURN_IF_ERROR(device_->Synchronize());
    clock->Reset();
    clock->Mark();
  }
  return ForwardPass(Parts(), args, std::move(layout), clock).Launch();
}

absl::StatusOr<LaunchedStep> LlamaModel::Launch(const ForwardArgs& args) {
  const std::vector<std::vector<int32_t>> drawn = std::move(drawn_places_);
  drawn_places_.clear();
  SEER_ASSIGN_OR_RETURN(BatchLayout layout,
                        BatchLayout::Build(args.sequences, drawn));
  SEER_RETURN_IF_ERROR(device_->BindThisThread());
  turn_ = 1 - turn_;
  inputs_.Turn();
  results_.Turn();
  DeviceClock* const clock = clocks_[turn_].get();
  // Nobody may have finished the step whose turn this was.
  SEER_RETURN_IF_ERROR(clock->Wait());
  clock->Reset();
  clock->Mark();
  absl::StatusOr<LaunchedStep::Work> work = CatchingExceptions(
      "a forward pass",
      [&] { return Enqueue(args, std::move(layout), clock); });
  // What was enqueued before an error may still read this step's arrays. If
  // the device itself failed, it says so here too.
  if (!work.ok()) {
    SEER_RETURN_IF_ERROR(device_->Synchronize());
    return work.status();
  }
  LaunchedStep step(*std::move(work), &config_, clock, clock->Mark());
  drawn_places_ = step.DrawnPlaces();
  return step;
}

absl::StatusOr<ForwardReport> LlamaModel::Forward(const ForwardArgs& args) {
  SEER_ASSIGN_OR_RETURN(const LaunchedStep step, Launch(args));
  return step.Finish();
}

}  // namespace seer
