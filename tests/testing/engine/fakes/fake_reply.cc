#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/testing/engine/fakes/fake_engine.h"

namespace seer {
namespace {

constexpr int64_t kChunk = 512;
constexpr int64_t kBlock = 64;

LogprobEntry FakeLogprob(TokenId id, int32_t num_top) {
  LogprobEntry entry;
  entry.token = {id, absl::StrCat("t", id), -0.5};
  entry.rank = 1;
  for (int32_t i = 0; i < num_top; ++i) {
    entry.top.push_back({i, absl::StrCat("t", i), -0.5 - i});
  }
  return entry;
}

void AddPrompt(const GenerationRequest& request, FakeReply& reply) {
  const int64_t total = static_cast<int64_t>(request.prompt.size());
  for (int64_t begin = 0; begin < total; begin += kChunk) {
    const int64_t end = std::min(total, begin + kChunk);
    reply.events.push_back(PromptProgressEvent{total, 0, end});
    if (!request.num_prompt_logprobs) continue;
    PromptLogprobsEvent logprobs;
    logprobs.start = std::max<int64_t>(begin, 1);
    for (int64_t i = logprobs.start; i < end; ++i) {
      logprobs.entries.push_back(
          FakeLogprob(request.prompt[i], *request.num_prompt_logprobs));
    }
    if (!logprobs.entries.empty()) reply.events.push_back(std::move(logprobs));
  }
}

}  // namespace

ModelInfo FakeModelInfo() {
  ModelInfo model;
  model.model_id = "fake";
  model.fingerprint = std::string(64, '0');
  model.context_len = 4096;
  model.vocab_size = 259;
  model.num_layers = 4;
  model.num_query_heads = 2;
  model.num_kv_heads = 1;
  model.head_dim = 64;
  model.dtype = "float32";
  model.device = "cpu";
  return model;
}

FakeReply EchoReply(const GenerationRequest& request, const ModelInfo& model) {
  FakeReply reply;
  const SparsityReport report = FakeReport(request, model);
  reply.events.push_back(
      AcceptedEvent{0, report.effective.gate, report.effective.gate_version});
  AddPrompt(request, reply);
  for (int32_t token = 0; token < request.max_tokens; ++token) {
    for (int32_t index = 0; index < request.num_choices; ++index) {
      DeltaEvent delta;
      delta.index = index;
      delta.text = absl::StrCat("w", token, " ");
      delta.token_ids = {token % model.vocab_size};
      if (request.num_logprobs) {
        delta.logprobs = {
            FakeLogprob(delta.token_ids[0], *request.num_logprobs)};
      }
      reply.events.push_back(std::move(delta));
    }
  }
  for (int32_t index = 0; index < request.num_choices; ++index) {
    FinishEvent finish;
    finish.index = index;
    reply.events.push_back(finish);
  }
  SummaryEvent summary;
  summary.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  summary.output_tokens =
      static_cast<int64_t>(request.max_tokens) * request.num_choices;
  summary.queue_time = absl::Milliseconds(1);
  summary.prefill_time = absl::Milliseconds(20);
  summary.decode_time = absl::Milliseconds(300);
  summary.time_to_first_token = absl::Milliseconds(21);
  summary.seed = request.sampling.seed.value_or(7);
  summary.sparsity = report;
  reply.events.push_back(std::move(summary));
  return reply;
}

SparsityReport FakeReport(const GenerationRequest& request,
                          const ModelInfo& model) {
  SparsityReport report;
  report.requested = request.policy.value_or(SparsityPolicy());
  report.effective.budget = report.requested.budget;
  const int64_t num_tiles =
      (static_cast<int64_t>(request.prompt.size()) + kBlock - 1) / kBlock;
  report.tiles_computed = num_tiles;
  LayerBlocks layer;
  layer.visible = model.num_query_heads * num_tiles * (num_tiles + 1) / 2;
  layer.selected = layer.visible;
  const Budget& budget = report.requested.budget;
  if (budget.kind == BudgetKind::kTargetSparsity) {
    layer.selected = std::llround(layer.visible * (1 - budget.target_sparsity));
  }
  if (budget.kind != BudgetKind::kDense) {
    const GateChoice gate = report.requested.gate.value_or(GateChoice());
    report.effective.gate =
        gate.kind == GateChoice::Kind::kNamed ? gate.name : "mean_pool";
  }
  report.layers.assign(model.num_layers, layer);
  return report;
}

}  // namespace seer
