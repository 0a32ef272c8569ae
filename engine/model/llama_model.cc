#include "engine/model/llama_model.h"

#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/model/batch_layout.h"
#include "engine/model/llama_weights.h"
#include "kernels/attention/attention.h"
#include "kernels/block_selection/block_selection.h"
#include "kernels/gate_score/gate_score.h"
#include "kernels/qk_prepare/qk_prepare.h"
#include "kernels/rope.h"

namespace seer {
namespace {

// Rows of the MLP's wide intermediate that are held at once.
constexpr int64_t kMlpRows = 1024;
// Bytes of fp32 logits that are held at once.
constexpr int64_t kLogitsBytes = 32 << 20;

at::ScalarType ScalarTypeOf(DType dtype) {
  return dtype == DType::kFloat32 ? at::kFloat : at::kBFloat16;
}

// What ATen throws becomes a status here, and nowhere else in the model.
template <typename Fn>
auto CatchingExceptions(const char* doing, Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& e) {
    // How ATen's allocator words it: it has no type of its own for this.
    if (absl::StrContains(e.what(), "DefaultCPUAllocator: ")) {
      return absl::ResourceExhaustedError("out of memory");
    }
    Log(LogLevel::kError, "operator failed",
        {{"while", doing}, {"what", e.what()}});
    return absl::InternalError("an operator of the model failed");
  }
}

}  // namespace

struct LlamaModel::Tensors {
  LlamaWeights weights;
  at::Tensor rope_cos;  // fp32 [context_len, D / 2]
  at::Tensor rope_sin;  // fp32 [context_len, D / 2]
  at::Tensor epsilon;   // fp32 [1]
};

LlamaModel::LlamaModel(const ModelConfig& config, DType dtype,
                       Executor* executor)
    : config_(config), dtype_(dtype), executor_(executor) {}

LlamaModel::~LlamaModel() = default;

absl::StatusOr<std::unique_ptr<LlamaModel>> LlamaModel::Load(
    const ModelConfig& config, const WeightFiles& files, DType dtype,
    Executor* executor) {
  SEER_ASSIGN_OR_RETURN(const RopeFrequencies frequencies,
                        MakeRopeFrequencies(config.rope));
  std::unique_ptr<LlamaModel> model(new LlamaModel(config, dtype, executor));
  SEER_RETURN_IF_ERROR(CatchingExceptions("loading weights", [&] {
    const c10::InferenceMode inference;
    auto tensors = std::make_unique<Tensors>();
    tensors->weights = LlamaWeights::Load(config, files, dtype);
    const int64_t half_dim = config.head_dim / 2;
    tensors->rope_cos = at::empty({config.context_len, half_dim}, at::kFloat);
    tensors->rope_sin = at::empty({config.context_len, half_dim}, at::kFloat);
    FillRopeTable(frequencies, config.context_len,
                  tensors->rope_cos.mutable_data_ptr<float>(),
                  tensors->rope_sin.mutable_data_ptr<float>());
    tensors->epsilon = at::full({1}, config.rms_norm_eps, at::kFloat);
    model->tensors_ = std::move(tensors);
    return absl::OkStatus();
  }));
  return model;
}

int64_t LlamaModel::weight_bytes() const {
  return tensors_->weights.num_bytes();
}

// One forward pass: the batch, its buffers, and the layers in order.
class LlamaModel::Pass {
 public:
  Pass(const LlamaModel& model, const ForwardArgs& args, BatchLayout layout);

  absl::StatusOr<ForwardReport> Run();

 private:
  // x * rsqrt(mean(x^2) + eps) in fp32, rounded, times the norm's weight.
  at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight) const;
  absl::Status RunAttention(int32_t layer, const at::Tensor& qkv);
  // Fills sets_ for the layer.
  absl::Status Select(int32_t layer, const PagedKv& kv);
  absl::Status Score(int32_t layer, const BatchLayout::GateGroup& group,
                     const PagedKv& kv);
  void AddMlp(const LlamaWeights::Layer& layer, at::Tensor& x) const;
  absl::Status EmitLogits(const at::Tensor& x);

  at::Tensor Empty(at::IntArrayRef shape, at::ScalarType type) const {
    return at::empty(shape, type);
  }
  RopeTable rope() const;

  const LlamaModel& model_;
  const ForwardArgs& args_;
  const ModelConfig& config_;
  const BatchLayout layout_;
  const RaggedBatch batch_;
  const DeviceStream stream_;
  ForwardReport report_;

  at::Tensor roped_queries_;   // dtype [num_rows, Hq, D]
  at::Tensor attention_;       // dtype [num_rows, Hq * D]
  at::Tensor pooled_queries_;  // fp32 [num_prompt_tiles, Hq, kNumPools, D]
  at::Tensor gate_logits_;     // fp32 [num_prompt_tiles, Hq, row_len]
  std::vector<uint64_t> bits_;
  std::vector<int32_t> counts_;
  std::vector<int64_t> num_selected_;  // [num_sequences]
  BlockSets sets_;                     // bits null: all dense
};

LlamaModel::Pass::Pass(const LlamaModel& model, const ForwardArgs& args,
                       BatchLayout layout)
    : model_(model),
      args_(args),
      config_(model.config_),
      layout_(std::move(layout)),
      batch_(layout_.batch()),
      stream_{model.executor_} {
  const int64_t heads = config_.num_query_heads;
  const int64_t head_dim = config_.head_dim;
  const at::ScalarType type = ScalarTypeOf(model.dtype_);
  roped_queries_ = Empty({batch_.num_rows, heads, head_dim}, type);
  attention_ = Empty({batch_.num_rows, heads * head_dim}, type);
  if (layout_.gates().empty()) return;
  const int64_t tiles = batch_.num_prompt_tiles;
  const int64_t row_len = layout_.max_visible_blocks();
  pooled_queries_ = Empty({tiles, heads, kNumPools, head_dim}, at::kFloat);
  gate_logits_ = Empty({tiles, heads, row_len}, at::kFloat);
  sets_.num_words = static_cast<int32_t>((row_len + 63) / 64);
  sets_.num_query_heads = config_.num_query_heads;
  bits_.resize(tiles * heads * sets_.num_words);
  counts_.resize(tiles * heads);
  sets_.bits = bits_.data();
  sets_.counts = counts_.data();
}

RopeTable LlamaModel::Pass::rope() const {
  RopeTable rope;
  rope.cos = model_.tensors_->rope_cos.const_data_ptr<float>();
  rope.sin = model_.tensors_->rope_sin.const_data_ptr<float>();
  rope.num_positions = config_.context_len;
  rope.head_dim = config_.head_dim;
  return rope;
}

at::Tensor LlamaModel::Pass::RmsNorm(const at::Tensor& x,
                                     const at::Tensor& weight) const {
  // The squares are summed in fp32, whatever x is.
  const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{-1},
                                                 /*keepdim=*/true, at::kFloat);
  const at::Tensor scale =
      at::addcmul(model_.tensors_->epsilon, norm, norm,
                  1.0 / static_cast<double>(config_.hidden_size))
          .rsqrt_();
  at::Tensor y = at::empty_like(x);
  at::mul_out(y, x, scale);
  return y.mul_(weight);
}

absl::Status LlamaModel::Pass::Score(int32_t layer,
                                     const BatchLayout::GateGroup& group,
                                     const PagedKv& kv) {
  GateScoreArgs score;
  score.batch = batch_;
  score.dtype = model_.dtype_;
  score.num_query_heads = config_.num_query_heads;
  score.gate = group.gate->layer(layer);
  score.rope = rope();
  score.tile_indices = group.tile_indices.data();
  score.num_scored_tiles = static_cast<int32_t>(group.tile_indices.size());
  score.pooled_queries = pooled_queries_.const_data_ptr<float>();
  score.kv = kv;
  score.key_entries = group.entries->layer(layer);
  score.num_entry_heads = group.gate->num_entry_heads();
  score.logits = gate_logits_.mutable_data_ptr<float>();
  score.logits_row_len = layout_.max_visible_blocks();
  return GateScore(Backend::kCpu, score, stream_);
}

absl::Status LlamaModel::Pass::Select(int32_t layer, const PagedKv& kv) {
  if (layout_.gates().empty()) return absl::OkStatus();
  const absl::Time begin = absl::Now();
  for (const BatchLayout::GateGroup& group : layout_.gates()) {
    SEER_RETURN_IF_ERROR(Score(layer, group, kv));
  }
  num_selected_.assign(batch_.num_sequences, 0);
  const std::vector<SelectionRule> rules = layout_.Rules(layer);
  BlockSelectionArgs select;
  select.batch = batch_;
  select.rules = rules.data();
  select.num_query_heads = config_.num_query_heads;
  select.logits = gate_logits_.const_data_ptr<float>();
  select.logits_row_len = layout_.max_visible_blocks();
  select.sets = sets_;
  select.num_selected = num_selected_.data();
  SEER_RETURN_IF_ERROR(SelectBlocks(Backend::kCpu, select, stream_));
  report_.gate_time += absl::Now() - begin;
  return absl::OkStatus();
}

absl::Status LlamaModel::Pass::RunAttention(int32_t layer,
                                            const at::Tensor& qkv) {
  const int64_t heads = config_.num_query_heads;
  const int64_t kv_heads = config_.num_kv_heads;
  const int64_t head_dim = config_.head_dim;
  const char* rows = static_cast<const char*>(qkv.const_data_ptr());
  const int element = SizeOf(model_.dtype_);
  const PagedKv kv = args_.cache->layer(layer);

  QkPrepareArgs prepare;
  prepare.batch = batch_;
  prepare.dtype = model_.dtype_;
  prepare.num_query_heads = config_.num_query_heads;
  prepare.queries = rows;
  prepare.keys = rows + heads * head_dim * element;
  prepare.values = rows + (heads + kv_heads) * head_dim * element;
  prepare.query_row_stride = (heads + 2 * kv_heads) * head_dim;
  prepare.key_row_stride = prepare.query_row_stride;
  prepare.value_row_stride = prepare.query_row_stride;
  prepare.rope = rope();
  prepare.roped_queries = roped_queries_.mutable_data_ptr();
  prepare.kv = kv;
  if (pooled_queries_.defined()) {
    prepare.pooled_queries = pooled_queries_.mutable_data_ptr<float>();
  }
  const absl::Time begin = absl::Now();
  SEER_RETURN_IF_ERROR(QkPrepare(Backend::kCpu, prepare, stream_));
  report_.prepare_time += absl::Now() - begin;
  SEER_RETURN_IF_ERROR(Select(layer, kv));
  layout_.CountBlocks(layer, config_.num_query_heads, num_selected_);
  if (args_.trace) {
    args_.trace({layer, batch_, rows,
                 gate_logits_.defined() ? gate_logits_.const_data_ptr<float>()
                                        : nullptr,
                 layout_.max_visible_blocks(), sets_});
  }

  AttentionArgs attend;
  attend.batch = batch_;
  attend.dtype = model_.dtype_;
  attend.num_query_heads = config_.num_query_heads;
  attend.queries = roped_queries_.const_data_ptr();
  attend.kv = kv;
  attend.sets = sets_;
  attend.scale = static_cast<float>(1.0 / std::sqrt(1.0 * head_dim));
  attend.out = attention_.mutable_data_ptr();
  const absl::Time attend_begin = absl::Now();
  SEER_RETURN_IF_ERROR(Attend(Backend::kCpu, attend, stream_));
  report_.attention_time += absl::Now() - attend_begin;
  return absl::OkStatus();
}

void LlamaModel::Pass::AddMlp(const LlamaWeights::Layer& layer,
                              at::Tensor& x) const {
  const int64_t width = config_.intermediate_size;
  for (int64_t row = 0; row < x.size(0); row += kMlpRows) {
    const at::Tensor part =
        x.narrow(0, row, std::min(kMlpRows, x.size(0) - row));
    const at::Tensor gate_up =
        layer.gate_up.Multiply(RmsNorm(part, layer.post_attention_norm));
    const at::Tensor active = at::silu(gate_up.narrow(1, 0, width));
    active.mul_(gate_up.narrow(1, width, width));
    part.add_(layer.down.Multiply(active));
  }
}

absl::StatusOr<ForwardReport> LlamaModel::Pass::Run() {
  const LlamaWeights& weights = model_.tensors_->weights;
  std::vector<int64_t> logits_rows;
  for (const BatchLayout::LogitsRow& row : layout_.logits_rows()) {
    logits_rows.push_back(row.row);
  }
  const auto index = [](const std::vector<int64_t>& ids) {
    at::Tensor tensor =
        at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
    std::copy(ids.begin(), ids.end(), tensor.mutable_data_ptr<int64_t>());
    return tensor;
  };
  at::Tensor x =
      at::index_select(weights.embedding, 0, index(layout_.tokens()));
  for (int32_t l = 0; l < config_.num_layers; ++l) {
    const LlamaWeights::Layer& layer = weights.layers[l];
    SEER_RETURN_IF_ERROR(
        RunAttention(l, layer.qkv.Multiply(RmsNorm(x, layer.input_norm))));
    at::Tensor attention = attention_;
    if (l + 1 == config_.num_layers) {
      // Past the last layer's keys and values only wanted rows matter.
      if (logits_rows.empty()) return report_;
      const at::Tensor wanted = index(logits_rows);
      x = at::index_select(x, 0, wanted);
      attention = at::index_select(attention, 0, wanted);
    }
    x.add_(layer.output.Multiply(attention));
    AddMlp(layer, x);
  }
  SEER_RETURN_IF_ERROR(EmitLogits(x));
  return report_;
}

absl::Status LlamaModel::Pass::EmitLogits(const at::Tensor& x) {
  const LlamaWeights& weights = model_.tensors_->weights;
  const int64_t num_rows = x.size(0);
  const int64_t rows_a_block =
      std::max<int64_t>(1, kLogitsBytes / (config_.vocab_size * sizeof(float)));
  std::vector<LogitsBlock::Row> rows;
  for (int64_t first = 0; first < num_rows; first += rows_a_block) {
    const int64_t count = std::min(rows_a_block, num_rows - first);
    const at::Tensor logits =
        weights.lm_head
            .Multiply(RmsNorm(x.narrow(0, first, count), weights.final_norm))
            .to(at::kFloat);
    rows.clear();
    for (int64_t i = first; i < first + count; ++i) {
      const BatchLayout::LogitsRow& row = layout_.logits_rows()[i];
      rows.push_back({row.sequence, row.position});
    }
    SEER_RETURN_IF_ERROR(
        args_.on_logits({rows, logits.const_data_ptr<float>()}));
  }
  return absl::OkStatus();
}

absl::StatusOr<ForwardReport> LlamaModel::Forward(const ForwardArgs& args) {
  SEER_ASSIGN_OR_RETURN(BatchLayout layout, BatchLayout::Build(args.sequences));
  return CatchingExceptions("a forward pass",
                            [&]() -> absl::StatusOr<ForwardReport> {
                              const c10::InferenceMode inference;
                              return Pass(*this, args, std::move(layout)).Run();
                            });
}

}  // namespace seer
