#include "tests/benchmarks/random_model.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "engine/device/open_device.h"
#include "engine/weights/model_config.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

constexpr uint64_t kSeed = 1;

absl::StatusOr<ModelConfig> ReadConfig(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return ParseModelConfig(std::string(std::istreambuf_iterator<char>(file),
                                      std::istreambuf_iterator<char>()));
}

std::vector<TokenId> RandomTokens(int64_t count, int32_t vocab_size) {
  std::mt19937_64 random(kSeed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = random() % vocab_size;
  return tokens;
}

SelectionPlan PlanOf(const ModelConfig& config, int64_t prompt_len,
                     double target) {
  SelectionPlanArgs args;
  args.effective.budget.kind = BudgetKind::kTargetSparsity;
  args.effective.budget.target_sparsity = target;
  args.prompt_len = prompt_len;
  args.num_layers = config.num_layers;
  args.num_query_heads = config.num_query_heads;
  return MakeSelectionPlan(args);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RandomModel>> RandomModel::Make(
    const Options& options) {
  std::unique_ptr<RandomModel> made(new RandomModel());
  SEER_ASSIGN_OR_RETURN(const ModelConfig config, ReadConfig(options.config));
  const DType dtype =
      options.dtype == "float32" ? DType::kFloat32 : DType::kBFloat16;
  made->executor_ = std::make_unique<AtenExecutor>(options.num_threads);
  SEER_ASSIGN_OR_RETURN(made->device_,
                        OpenDevice(options.device, made->executor_.get()));
  made->executor_->BindThisThread();
  Device* const device = made->device_.get();
  LlamaModelOptions model_options;
  model_options.replay_decode_steps = options.replay_decode_steps;
  SEER_ASSIGN_OR_RETURN(
      made->model_,
      LlamaModel::MakeRandom(config, kSeed, dtype, device, model_options));
  SEER_ASSIGN_OR_RETURN(
      made->cache_,
      KvCache::Allocate({config.num_layers, config.num_kv_heads,
                         config.head_dim, dtype, options.num_pages},
                        device));
  const GateShape shape = {config.num_layers, config.num_query_heads,
                           config.num_kv_heads, config.head_dim, dtype};
  made->mean_pool_ = BuiltinMeanPool(shape);
  SEER_ASSIGN_OR_RETURN(made->gate_,
                        GateState::Create(*made->mean_pool_->gate, shape,
                                          options.num_pages, device));
  made->pages_.resize(options.num_pages);
  std::iota(made->pages_.begin(), made->pages_.end(), 0);
  std::shuffle(made->pages_.begin(), made->pages_.end(),
               std::mt19937_64(kSeed));
  return made;
}

absl::Status RandomModel::Run(const std::vector<BatchSequence>& sequences,
                              StepTimes* times) {
  const absl::Time begin = absl::Now();
  SEER_ASSIGN_OR_RETURN(
      const ForwardReport report,
      model_->Forward({sequences, &cache_,
                       [](const LogitsBlock&) { return absl::OkStatus(); },
                       nullptr}));
  times->total += absl::Now() - begin;
  times->parts.prepare_time += report.prepare_time;
  times->parts.gate_time += report.gate_time;
  times->parts.attention_time += report.attention_time;
  return absl::OkStatus();
}

absl::StatusOr<StepTimes> RandomModel::Prefill(int64_t num_tokens,
                                               int64_t chunk, double target) {
  const ModelConfig& config = model_->config();
  const std::vector<TokenId> tokens =
      RandomTokens(num_tokens, config.vocab_size);
  const SelectionPlan plan = PlanOf(config, num_tokens, target);
  std::vector<LayerBlocks> blocks(config.num_layers);
  StepTimes times;
  for (int64_t done = 0; done < num_tokens; done += chunk) {
    BatchSequence sequence;
    sequence.tokens = absl::MakeConstSpan(tokens).subspan(done, chunk);
    sequence.position_begin = static_cast<int32_t>(done);
    sequence.prompt_len = static_cast<int32_t>(num_tokens);
    sequence.page_table = pages_;
    sequence.plan = &plan;
    sequence.gate = &gate_;
    sequence.blocks = blocks.data();
    if (done + chunk >= num_tokens) sequence.logits = LogitsRows::kLast;
    SEER_RETURN_IF_ERROR(Run({sequence}, &times));
  }
  for (const LayerBlocks& layer : blocks) {
    times.blocks_visible += layer.visible;
    times.blocks_selected += layer.selected;
  }
  return times;
}

absl::StatusOr<absl::Duration> RandomModel::PassLayers(int64_t num_tokens,
                                                       int64_t tiles,
                                                       bool with_targets) {
  const absl::Time begin = absl::Now();
  SEER_ASSIGN_OR_RETURN(
      const std::unique_ptr<LayerPass> pass,
      model_->BeginLayerPass(
          RandomTokens(num_tokens, model_->config().vocab_size),
          cache_.AllPlanes(), cache_.PlanesOf(pages_)));
  LayerPassTargets targets;
  targets.max = with_targets;
  LayerRangeView view;
  for (int32_t layer = 0; layer < model_->config().num_layers; ++layer) {
    for (int64_t tile = 0; tile < pass->num_tiles(); tile += tiles) {
      const int64_t end = std::min(tile + tiles, pass->num_tiles());
      SEER_RETURN_IF_ERROR(pass->Run(layer, tile, end, targets, &view));
    }
  }
  SEER_RETURN_IF_ERROR(device_->Synchronize());
  return absl::Now() - begin;
}

absl::StatusOr<StepTimes> RandomModel::Decode(int64_t batch,
                                              int64_t context_len) {
  const std::vector<TokenId> tokens =
      RandomTokens(batch, model_->config().vocab_size);
  const int64_t pages_each = NumBlocks(context_len + 1);
  if (batch * pages_each > static_cast<int64_t>(pages_.size())) {
    return absl::InvalidArgumentError("the cache has too few pages");
  }
  std::vector<BatchSequence> sequences(batch);
  RowDraw greedy;
  greedy.draw.temperature = 0.0;
  std::vector<TokenId> drawn(batch);
  for (int64_t i = 0; i < batch; ++i) {
    BatchSequence& sequence = sequences[i];
    sequence.tokens = absl::MakeConstSpan(tokens).subspan(i, 1);
    sequence.position_begin = static_cast<int32_t>(context_len);
    sequence.prompt_len = static_cast<int32_t>(context_len);
    sequence.page_table =
        absl::MakeConstSpan(pages_).subspan(i * pages_each, pages_each);
    // As the engine asks for a greedy request's next token.
    if (model_->is_asynchronous()) {
      sequence.draws = absl::MakeConstSpan(&greedy, 1);
      sequence.drawn = &drawn[i];
    } else {
      sequence.logits = LogitsRows::kLast;
    }
  }
  StepTimes times;
  SEER_RETURN_IF_ERROR(Run(sequences, &times));
  return times;
}

}  // namespace seer
