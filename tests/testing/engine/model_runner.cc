#include "tests/testing/engine/model_runner.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <utility>

#include "base/status_macros.h"
#include "engine/weights/model_config.h"
#include "engine/weights/weight_files.h"
#include "kernels/ragged_batch.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {

ModelRunner::ModelRunner() = default;

absl::StatusOr<std::unique_ptr<ModelRunner>> ModelRunner::Load(
    const std::string& folder, DType dtype, int64_t num_pages,
    const std::string& device, int num_threads,
    const LlamaModelOptions& options) {
  std::unique_ptr<ModelRunner> runner(new ModelRunner());
  runner->executor_ = std::make_unique<AtenExecutor>(num_threads);
  SEER_ASSIGN_OR_RETURN(runner->device_,
                        OpenTestDevice(device, runner->executor_.get()));
  runner->executor_->BindThisThread();
  SEER_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(folder));
  SEER_ASSIGN_OR_RETURN(const std::unique_ptr<const WeightFiles> files,
                        WeightFiles::Open(folder, config));
  SEER_ASSIGN_OR_RETURN(
      runner->model_,
      LlamaModel::Load(config, *files, dtype, runner->device_.get(), options));
  SEER_ASSIGN_OR_RETURN(
      runner->cache_, KvCache::Allocate({config.num_layers, config.num_kv_heads,
                                         config.head_dim, dtype, num_pages},
                                        runner->device_.get()));
  runner->free_pages_.resize(num_pages);
  std::iota(runner->free_pages_.begin(), runner->free_pages_.end(), 0);
  std::shuffle(runner->free_pages_.begin(), runner->free_pages_.end(),
               std::mt19937_64(7));
  return runner;
}

GateShape ModelRunner::gate_shape() const {
  const ModelConfig& config = model_->config();
  return {config.num_layers, config.num_query_heads, config.num_kv_heads,
          config.head_dim, model_->dtype()};
}

int32_t ModelRunner::Add(std::vector<int32_t> tokens, int64_t prompt_len,
                         const EffectivePolicy& policy,
                         std::shared_ptr<const GateSet> gate_set) {
  Sequence sequence;
  sequence.prompt_len = prompt_len;
  sequence.blocks.resize(model_->config().num_layers);
  SelectionPlanArgs args;
  args.effective = policy;
  args.oracle = OracleNamed(policy.gate);
  if (gate_set != nullptr && gate_set->profile) {
    args.profile = &*gate_set->profile;
  }
  args.prompt_len = prompt_len;
  args.num_layers = model_->config().num_layers;
  args.num_query_heads = model_->config().num_query_heads;
  sequence.plan = MakeSelectionPlan(args);
  sequence.gate_set = std::move(gate_set);
  const int64_t num_pages = NumBlocks(static_cast<int64_t>(tokens.size()));
  sequence.pages.assign(free_pages_.end() - num_pages, free_pages_.end());
  free_pages_.resize(free_pages_.size() - num_pages);
  sequence.tokens = std::move(tokens);
  sequences_.push_back(std::move(sequence));
  return static_cast<int32_t>(sequences_.size()) - 1;
}

const GateState& ModelRunner::StateOf(const Gate* gate) {
  auto found = gates_.find(gate);
  if (found == gates_.end()) {
    found = gates_
                .emplace(gate, *GateState::Create(*gate, gate_shape(),
                                                  cache_.shape().num_pages,
                                                  device_.get()))
                .first;
  }
  return found->second;
}

absl::Status ModelRunner::Step(absl::Span<const Slice> slices) {
  std::vector<BatchSequence> batch;
  const bool asks_for_best = !traces_ && model_->is_asynchronous();
  RowDraw greedy;
  greedy.draw.temperature = 0.0;
  std::vector<TokenId> drawn(slices.size());
  for (const Slice& slice : slices) {
    Sequence& s = sequences_[slice.sequence];
    BatchSequence part;
    part.tokens =
        absl::MakeConstSpan(s.tokens).subspan(s.num_computed, slice.num_rows);
    part.position_begin = static_cast<int32_t>(s.num_computed);
    part.prompt_len = static_cast<int32_t>(s.prompt_len);
    part.page_table = s.pages;
    part.logits = LogitsRows::kAll;
    part.blocks = part.is_prompt() ? s.blocks.data() : nullptr;
    if (s.gate_set != nullptr || s.plan.oracle != Oracle::kNone) {
      part.plan = &s.plan;
    }
    if (s.gate_set != nullptr) {
      part.gate = &StateOf(s.gate_set->gate.get());
    }
    if (asks_for_best) {
      part.draws = absl::MakeConstSpan(&greedy, 1);
      part.drawn = &drawn[batch.size()];
    }
    batch.push_back(part);
  }
  const int64_t vocab_size = model_->config().vocab_size;
  const auto on_logits = [&](const LogitsBlock& block) {
    for (size_t i = 0; i < block.rows.size(); ++i) {
      const float* row = block.logits + i * vocab_size;
      std::vector<float>& logits =
          sequences_[slices[block.rows[i].sequence].sequence].logits;
      logits.insert(logits.end(), row, row + vocab_size);
    }
    return absl::OkStatus();
  };
  std::function<void(const LayerTrace&)> trace;
  if (traces_) trace = [&](const LayerTrace& t) { Record(t, slices); };
  SEER_RETURN_IF_ERROR(
      model_->Forward({batch, &cache_, on_logits, trace}).status());
  for (size_t i = 0; i < slices.size(); ++i) {
    Sequence& s = sequences_[slices[i].sequence];
    s.num_computed += slices[i].num_rows;
    if (asks_for_best) s.drawn.push_back(drawn[i]);
  }
  return absl::OkStatus();
}

void ModelRunner::Record(const LayerTrace& trace,
                         absl::Span<const Slice> slices) {
  const ModelConfig& config = model_->config();
  const int64_t row_len =
      int64_t{config.num_query_heads + 2 * config.num_kv_heads} *
      config.head_dim;
  for (int32_t i = 0; i < trace.batch.num_sequences; ++i) {
    const SequenceSlice& slice = trace.batch.sequences[i];
    Sequence& sequence = sequences_[slices[i].sequence];
    TypedArray& qkv = sequence.qkv[trace.layer];
    if (qkv.size() == 0) {
      qkv = TypedArray(model_->dtype(),
                       static_cast<int64_t>(sequence.tokens.size()) * row_len);
    }
    const int64_t row_bytes = row_len * SizeOf(model_->dtype());
    std::memcpy(
        static_cast<char*>(qkv.data()) + slice.position_begin * row_bytes,
        static_cast<const char*>(trace.qkv) + slice.row_begin * row_bytes,
        slice.num_rows * row_bytes);
  }
  for (int32_t t = 0; t < trace.batch.num_prompt_tiles; ++t) {
    const Tile& tile = trace.batch.tiles[t];
    Sequence& sequence = sequences_[slices[tile.sequence].sequence];
    for (int32_t head = 0; head < config.num_query_heads; ++head) {
      const int32_t visible = VisibleBlocks(tile);
      std::vector<bool> set(visible, true);
      if (trace.sets.bits != nullptr &&
          trace.sets.counts[trace.sets.Row(t, head)] != visible) {
        const uint64_t* bits = trace.sets.Bits(t, head);
        for (int32_t j = 0; j < visible; ++j) {
          set[j] = (bits[j / 64] >> (j % 64)) & 1;
        }
      }
      const std::vector<int32_t> key = {trace.layer, tile.block, head};
      sequence.sets[key] = std::move(set);
      if (trace.gate_logits == nullptr || sequence.plan.dense()) continue;
      const float* row = trace.gate_logits +
                         trace.sets.Row(t, head) * trace.gate_logits_row_len;
      sequence.gate_logits[key].assign(row, row + visible);
    }
  }
}

absl::Status ModelRunner::RunAlone(int32_t sequence, int32_t chunk) {
  const Sequence& s = sequences_[sequence];
  while (s.num_computed < s.prompt_len) {
    const int64_t rows =
        std::min<int64_t>(chunk, s.prompt_len - s.num_computed);
    SEER_RETURN_IF_ERROR(Step({{sequence, static_cast<int32_t>(rows)}}));
  }
  while (s.num_computed < static_cast<int64_t>(s.tokens.size())) {
    SEER_RETURN_IF_ERROR(Step({{sequence, 1}}));
  }
  return absl::OkStatus();
}

SequenceTokens RecordedPrompt(const GateShape& shape,
                              const ModelRunner::Sequence& sequence,
                              int32_t layer) {
  const TypedArray& rows = sequence.qkv.at(layer);
  const int64_t queries = shape.num_query_heads * shape.head_dim;
  const int64_t keys = shape.num_kv_heads * shape.head_dim;
  SequenceTokens tokens;
  tokens.len = static_cast<int32_t>(sequence.prompt_len);
  tokens.prompt_len = tokens.len;
  for (int64_t row = 0; row < sequence.prompt_len; ++row) {
    const int64_t begin = row * (queries + 2 * keys);
    for (int64_t i = 0; i < queries + 2 * keys; ++i) {
      std::vector<float>& part = i < queries          ? tokens.queries
                                 : i < queries + keys ? tokens.keys
                                                      : tokens.values;
      part.push_back(rows.Get(begin + i));
    }
  }
  return tokens;
}

}  // namespace seer
