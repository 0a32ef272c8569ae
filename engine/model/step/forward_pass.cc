#include "engine/model/step/forward_pass.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "engine/model/aten/aten.h"
#include "engine/model/layer/layer_args.h"
#include "engine/model/step/step_logits.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/gate_score/gate_score.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "kernels/sample_tokens/sample_tokens.h"
#include "kernels/top_tokens/top_tokens.h"

namespace seer {
namespace {

// Bytes of logits that are held at once to be scored where they are.
constexpr int64_t kScoredBytes = 64 << 20;

}  // namespace

ForwardPass::ForwardPass(const ModelParts& model, const ForwardArgs& args,
                         BatchLayout layout, DeviceClock* clock)
    : model_(model),
      args_(args),
      config_(*model.config),
      backend_(model.device->backend()),
      layout_(std::move(layout)),
      clock_(clock),
      rows_(*model.device, model.dtype, model.config->rms_norm_eps,
            model.tensors->epsilon),
      results_(model.results),
      stream_(model.device->stream()) {}

at::Tensor ForwardPass::Empty(at::IntArrayRef shape,
                              at::ScalarType type) const {
  return at::empty(shape,
                   at::TensorOptions(type).device(AtenDevice(*model_.device)));
}

at::Tensor ForwardPass::View(const void* data, at::IntArrayRef shape,
                             at::ScalarType type) const {
  return ViewOf(data, shape, type, *model_.device);
}

int64_t ForwardPass::ScoredRowsAtOnce() const {
  const int64_t fit =
      kScoredBytes / (int64_t{config_.vocab_size} * SizeOf(model_.dtype));
  return std::max<int64_t>(1, fit);
}

absl::Status ForwardPass::Send(Residual& residual) {
  SEER_ASSIGN_OR_RETURN(
      inputs_,
      SendStepInputs(layout_, LimitsOf(config_, args_.cache->shape().num_pages),
                     model_.inputs));
  StepResults::Shape shape;
  shape.num_layers = selects() ? config_.num_layers : 0;
  shape.num_sequences = inputs_.batch.num_sequences;
  shape.num_draws = inputs_.num_draws;
  shape.num_scores = static_cast<int64_t>(layout_.scored().size()) +
                     (layout_.scores_draws() ? inputs_.num_draws : 0);
  shape.num_top = std::max(1, layout_.num_top());
  shape.logits_rows = LogitsRowsAtOnce(layout_, config_.vocab_size);
  shape.vocab_size = config_.vocab_size;
  SEER_RETURN_IF_ERROR(results_.Reserve(shape));
  residual.x = Empty({inputs_.batch.num_rows, config_.hidden_size},
                     ScalarTypeOf(model_.dtype));
  // Before anything takes the place of the tokens that the last step drew.
  SEER_RETURN_IF_ERROR(rows_.EmbedInto(model_.tensors->weights.embedding,
                                       inputs_.tokens, results_.drawn(),
                                       residual.x));
  View(results_.counts(), {shape.num_layers, shape.num_sequences}, at::kLong)
      .zero_();
  return absl::OkStatus();
}

void ForwardPass::MakeTensors() {
  const RaggedBatch& batch = inputs_.batch;
  const int64_t heads = config_.num_query_heads;
  const int64_t head_dim = config_.head_dim;
  const at::ScalarType type = ScalarTypeOf(model_.dtype);
  roped_queries_ = Empty({batch.num_rows, heads, head_dim}, type);
  attention_ = Empty({batch.num_rows, heads * head_dim}, type);
  if (selects()) {
    const int64_t tiles = batch.num_prompt_tiles;
    const int64_t row_len = layout_.max_visible_blocks();
    pooled_queries_ = Empty({tiles, heads, kNumPools, head_dim}, at::kFloat);
    gate_logits_ = Empty({tiles, heads, row_len}, at::kFloat);
    sets_.num_words = static_cast<int32_t>((row_len + 63) / 64);
    sets_.num_query_heads = config_.num_query_heads;
    bits_ = Empty({tiles, heads, sets_.num_words}, at::kLong);
    counts_ = Empty({tiles, heads}, at::kInt);
    sets_.bits = static_cast<uint64_t*>(bits_.mutable_data_ptr());
    sets_.counts = counts_.mutable_data_ptr<int32_t>();
  }
  const PagedKv kv = args_.cache->layer(0);
  stream_.workspace_bytes = AttentionWorkspaceBytes(backend_, Attention(kv));
  for (size_t group = 0; group < layout_.gates().size(); ++group) {
    stream_.workspace_bytes =
        std::max(stream_.workspace_bytes,
                 GateScoreWorkspaceBytes(backend_, ScoreOf(0, group, kv)));
  }
  for (size_t range = 0; range < layout_.oracles().size(); ++range) {
    stream_.workspace_bytes =
        std::max(stream_.workspace_bytes,
                 AttentionPoolingWorkspaceBytes(backend_, OracleOf(range, kv)));
  }
  workspace_ = Empty({stream_.workspace_bytes}, at::kByte);
  stream_.workspace = workspace_.mutable_data_ptr();
}

GateScoreArgs ForwardPass::ScoreOf(int32_t layer, size_t group,
                                   const PagedKv& kv) const {
  const BatchLayout::GateGroup& tiles = layout_.gates()[group];
  GateScoreArgs score;
  score.batch = inputs_.batch;
  score.dtype = model_.dtype;
  score.num_query_heads = config_.num_query_heads;
  score.gate = tiles.gate->layer(layer);
  score.rope = RopeOf(model_);
  score.tile_indices = inputs_.tile_indices[group];
  score.num_scored_tiles = static_cast<int32_t>(tiles.tile_indices.size());
  score.pooled_queries = pooled_queries_.const_data_ptr<float>();
  score.kv = kv;
  score.key_entries = tiles.gate->entries(layer);
  score.num_entry_heads = tiles.gate->num_entry_heads();
  score.logits = gate_logits_.mutable_data_ptr<float>();
  score.logits_row_len = layout_.max_visible_blocks();
  return score;
}

AttentionPoolingArgs ForwardPass::OracleOf(size_t range,
                                           const PagedKv& kv) const {
  const BatchLayout::OracleRange& tiles = layout_.oracles()[range];
  AttentionPoolingArgs pool;
  pool.attention = AttentionOf(model_, inputs_, roped_queries_.const_data_ptr(),
                               kv, /*out=*/nullptr);
  pool.attention.batch = OracleBatch(inputs_.batch, tiles);
  pool.attention.plan = inputs_.oracle_plans[range];
  pool.row_len = layout_.max_visible_blocks();
  const at::Tensor targets =
      gate_logits_.narrow(0, tiles.first_tile, tiles.num_tiles);
  (tiles.oracle == Oracle::kMax ? pool.max_target : pool.mass_target) =
      targets.mutable_data_ptr<float>();
  return pool;
}

absl::Status ForwardPass::AskOracle(size_t range, const PagedKv& kv) const {
  SEER_RETURN_IF_ERROR(PoolAttention(backend_, OracleOf(range, kv), stream_));
  const BatchLayout::OracleRange& tiles = layout_.oracles()[range];
  // Targets rank as they are. Where the softmax of logits is compared, it is to
  // be the target, and targets sum to 1.
  if (tiles.by_threshold) {
    gate_logits_.narrow(0, tiles.first_tile, tiles.num_tiles).log_();
  }
  return absl::OkStatus();
}

absl::Status ForwardPass::Select(int32_t layer, const PagedKv& kv) {
  if (!selects()) return absl::OkStatus();
  for (size_t group = 0; group < layout_.gates().size(); ++group) {
    SEER_RETURN_IF_ERROR(
        GateScore(backend_, ScoreOf(layer, group, kv), stream_));
  }
  for (size_t range = 0; range < layout_.oracles().size(); ++range) {
    SEER_RETURN_IF_ERROR(AskOracle(range, kv));
  }
  BlockSelectionArgs select;
  select.batch = inputs_.batch;
  select.rules = inputs_.rules[layer];
  select.num_query_heads = config_.num_query_heads;
  select.logits = gate_logits_.const_data_ptr<float>();
  select.logits_row_len = layout_.max_visible_blocks();
  select.sets = sets_;
  select.num_selected =
      results_.counts() + int64_t{layer} * inputs_.batch.num_sequences;
  return SelectBlocks(backend_, select, stream_);
}

absl::Status ForwardPass::Prepare(const PagedKv& kv, const at::Tensor& qkv) {
  QkPrepareArgs prepare = QkPrepareOf(model_, inputs_, qkv.const_data_ptr(), kv,
                                      roped_queries_.mutable_data_ptr());
  if (pooled_queries_.defined()) {
    prepare.pooled_queries = pooled_queries_.mutable_data_ptr<float>();
  }
  return QkPrepare(backend_, prepare, stream_);
}

AttentionArgs ForwardPass::Attention(const PagedKv& kv) const {
  AttentionArgs attend =
      AttentionOf(model_, inputs_, roped_queries_.const_data_ptr(), kv,
                  attention_.mutable_data_ptr());
  attend.sets = sets_;
  return attend;
}

absl::Status ForwardPass::RunAttention(int32_t layer, const at::Tensor& qkv) {
  const PagedKv kv = args_.cache->layer(layer);
  clock_->Mark();
  SEER_RETURN_IF_ERROR(Prepare(kv, qkv));
  clock_->Mark();
  SEER_RETURN_IF_ERROR(Select(layer, kv));
  clock_->Mark();
  SEER_RETURN_IF_ERROR(Attend(backend_, Attention(kv), stream_));
  clock_->Mark();
  if (args_.trace) Trace(layer, qkv);
  return absl::OkStatus();
}

void ForwardPass::Trace(int32_t layer, const at::Tensor& qkv) const {
  const at::Tensor host_qkv = qkv.cpu();
  LayerTrace trace;
  trace.layer = layer;
  trace.batch = layout_.batch();
  trace.qkv = host_qkv.const_data_ptr();
  trace.gate_logits_row_len = layout_.max_visible_blocks();
  trace.sets = sets_;
  if (!selects()) {
    args_.trace(trace);
    return;
  }
  const at::Tensor host_logits = gate_logits_.cpu();
  const at::Tensor host_bits = bits_.cpu();
  const at::Tensor host_counts = counts_.cpu();
  trace.gate_logits = host_logits.const_data_ptr<float>();
  trace.sets.bits = static_cast<uint64_t*>(host_bits.mutable_data_ptr());
  trace.sets.counts = host_counts.mutable_data_ptr<int32_t>();
  args_.trace(trace);
}

absl::Status ForwardPass::RunLayers(Residual& residual) {
  const LlamaWeights& weights = model_.tensors->weights;
  const int64_t num_wanted = num_wanted_rows();
  for (int32_t l = 0; l < config_.num_layers; ++l) {
    const LlamaWeights::Layer& layer = weights.layers[l];
    SEER_ASSIGN_OR_RETURN(
        const at::Tensor normed,
        rows_.AddAndNorm(residual.x, residual.pending, layer.input_norm));
    SEER_RETURN_IF_ERROR(RunAttention(l, layer.qkv.Multiply(normed)));
    at::Tensor attention = attention_;
    if (l + 1 == config_.num_layers) {
      // Past the last layer's keys and values only wanted rows matter.
      if (num_wanted == 0) return absl::OkStatus();
      const at::Tensor wanted =
          View(inputs_.wanted_rows, {num_wanted}, at::kLong);
      residual.x = at::index_select(residual.x, 0, wanted);
      attention = at::index_select(attention, 0, wanted);
    }
    residual.pending = layer.output.Multiply(attention);
    SEER_RETURN_IF_ERROR(AddMlp(rows_, layer, residual));
  }
  return absl::OkStatus();
}

absl::StatusOr<LaunchedStep::Work> ForwardPass::Launch() {
  Residual residual;
  SEER_RETURN_IF_ERROR(Send(residual));
  MakeTensors();
  SEER_RETURN_IF_ERROR(RunLayers(residual));
  if (num_wanted_rows() > 0) SEER_RETURN_IF_ERROR(EmitLogits(residual));
  SEER_RETURN_IF_ERROR(results_.Fetch(0));
  std::vector<int32_t> places(layout_.draws().size());
  std::iota(places.begin(), places.end(), 0);
  return LaunchedStep::Work{std::move(layout_), results_, std::move(places),
                            /*is_timed=*/true};
}

absl::StatusOr<at::Tensor> ForwardPass::LogitsOf(const Residual& residual,
                                                 int64_t first,
                                                 int64_t count) const {
  const LlamaWeights& weights = model_.tensors->weights;
  const auto part = [&](const at::Tensor& rows) {
    return rows.defined() ? rows.narrow(0, first, count) : rows;
  };
  SEER_ASSIGN_OR_RETURN(
      const at::Tensor normed,
      rows_.AddAndNorm(part(residual.x), part(residual.pending),
                       weights.final_norm));
  return weights.lm_head.Multiply(normed);
}

absl::Status ForwardPass::EmitLogits(const Residual& residual) {
  const int64_t num_fetched =
      static_cast<int64_t>(layout_.logits_rows().size());
  for (int64_t first = 0; first < num_fetched;) {
    const int64_t count = std::min(
        LogitsRowsAtOnce(layout_, config_.vocab_size), num_fetched - first);
    SEER_ASSIGN_OR_RETURN(const at::Tensor logits,
                          LogitsOf(residual, first, count));
    View(results_.logits(), {count, config_.vocab_size}, at::kFloat)
        .copy_(logits);
    SEER_RETURN_IF_ERROR(results_.Fetch(count));
    SEER_RETURN_IF_ERROR(model_.device->Synchronize());
    SEER_RETURN_IF_ERROR(GiveLogits(args_, layout_, results_, first, count));
    first += count;
  }
  const int64_t num_scored = static_cast<int64_t>(layout_.scored().size());
  for (int64_t first = 0; first < num_scored;) {
    const int64_t count = std::min(ScoredRowsAtOnce(), num_scored - first);
    SEER_ASSIGN_OR_RETURN(const at::Tensor logits,
                          LogitsOf(residual, num_fetched + first, count));
    TopTokensArgs args = ScoresOf(logits, first);
    args.num_rows = count;
    args.scored_tokens = inputs_.scored_tokens + first;
    SEER_RETURN_IF_ERROR(
        TopTokens(DrawingBackend(*model_.device), args, stream_));
    first += count;
  }
  if (inputs_.num_draws == 0) return absl::OkStatus();
  SEER_ASSIGN_OR_RETURN(
      const at::Tensor logits,
      LogitsOf(residual, num_fetched + num_scored, inputs_.num_drawn_rows));
  return Draw(logits);
}

TopTokensArgs ForwardPass::ScoresOf(const at::Tensor& logits,
                                    int64_t first) const {
  const StepResults::Scores scores = results_.scores();
  const int32_t num_top = results_.shape().num_top;
  TopTokensArgs args;
  args.dtype = model_.dtype;
  args.vocab_size = config_.vocab_size;
  args.logits = logits.const_data_ptr();
  args.num_top = num_top;
  args.ids = scores.top_ids + first * num_top;
  args.top_logits = scores.top_logits + first * num_top;
  args.log_sum_exp = scores.log_sums + first;
  args.scored_logits = scores.logits + first;
  args.scored_ranks = scores.ranks + first;
  return args;
}

absl::Status ForwardPass::Draw(const at::Tensor& logits) {
  const Backend backend = DrawingBackend(*model_.device);
  SEER_RETURN_IF_ERROR(
      SampleTokens(backend,
                   DrawsOf(model_, inputs_, inputs_.num_drawn_rows,
                           logits.const_data_ptr(), results_.drawn()),
                   stream_));
  if (!layout_.scores_draws()) return absl::OkStatus();
  TopTokensArgs args =
      ScoresOf(logits, static_cast<int64_t>(layout_.scored().size()));
  args.num_rows = inputs_.num_draws;
  args.row_indices = inputs_.scored_rows;
  args.scored_tokens = results_.drawn();
  return TopTokens(backend, args, stream_);
}

}  // namespace seer
