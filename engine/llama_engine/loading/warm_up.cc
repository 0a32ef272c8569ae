#include "engine/llama_engine/loading/warm_up.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/gate/policy/selection_plan.h"
#include "engine/model/batch/batch_sequence.h"
#include "engine/model/step/forward_args.h"
#include "engine/sparsity_policy.h"
#include "engine/token.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

absl::Status RunStep(const WarmUpArgs& args,
                     absl::Span<const BatchSequence> sequences) {
  const auto ignore = [](const LogitsBlock&) { return absl::OkStatus(); };
  return args.model->Forward({sequences, args.cache, ignore, nullptr}).status();
}

absl::Status RunPrompt(const WarmUpArgs& args, const GateState& gate,
                       absl::Span<const int32_t> pages) {
  const ModelConfig& config = args.model->config();
  const std::vector<TokenId> tokens(
      std::min<int64_t>({args.max_step_tokens, config.context_len,
                         static_cast<int64_t>(pages.size()) * kBlockSize}),
      0);
  SelectionPlanArgs plan_args;
  plan_args.effective.budget.kind = BudgetKind::kTopKBlocks;
  plan_args.effective.budget.top_k_blocks = 1;
  plan_args.prompt_len = static_cast<int64_t>(tokens.size());
  plan_args.num_layers = config.num_layers;
  plan_args.num_query_heads = config.num_query_heads;
  const SelectionPlan plan = MakeSelectionPlan(plan_args);
  const RowDraw draw;
  TokenId drawn = 0;
  BatchSequence prompt;
  prompt.tokens = tokens;
  prompt.prompt_len = static_cast<int32_t>(tokens.size());
  prompt.page_table = pages;
  prompt.plan = &plan;
  prompt.gate = &gate;
  prompt.logits = LogitsRows::kLast;
  if (args.model->DrawsTokens(0)) {
    prompt.draws = absl::MakeConstSpan(&draw, 1);
    prompt.drawn = &drawn;
  }
  return RunStep(args, {prompt});
}

// A generated row in each of the first `num_rows` pages.
absl::Status RunGeneratedRows(const WarmUpArgs& args,
                              absl::Span<const int32_t> pages,
                              int64_t num_rows) {
  const TokenId token = 0;
  const RowDraw draw;
  std::vector<TokenId> drawn(num_rows);
  std::vector<BatchSequence> sequences(num_rows);
  for (int64_t i = 0; i < num_rows; ++i) {
    sequences[i].tokens = absl::MakeConstSpan(&token, 1);
    sequences[i].position_begin = 1;
    sequences[i].prompt_len = 1;
    sequences[i].page_table = pages.subspan(i, 1);
    if (!args.model->DrawsTokens(0)) continue;
    sequences[i].draws = absl::MakeConstSpan(&draw, 1);
    sequences[i].drawn = &drawn[i];
  }
  sequences[0].logits = LogitsRows::kLast;
  return RunStep(args, sequences);
}

}  // namespace

absl::Status WarmUp(const WarmUpArgs& args) {
  const absl::Time begin = absl::Now();
  std::vector<int32_t> pages(args.cache->shape().num_pages);
  std::iota(pages.begin(), pages.end(), 0);
  for (const GateState* gate : args.gates) {
    SEER_RETURN_IF_ERROR(RunPrompt(args, *gate, pages));
  }
  const int64_t max_rows =
      std::min<int64_t>(args.max_running, static_cast<int64_t>(pages.size()));
  // Rows are rounded up to powers of two.
  for (int64_t rows = 1; rows < max_rows; rows *= 2) {
    SEER_RETURN_IF_ERROR(RunGeneratedRows(args, pages, rows));
  }
  SEER_RETURN_IF_ERROR(RunGeneratedRows(args, pages, max_rows));
  Log(LogLevel::kInfo, "warmed up",
      {{"seconds", absl::ToDoubleSeconds(absl::Now() - begin)}});
  return absl::OkStatus();
}

}  // namespace seer
