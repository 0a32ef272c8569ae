#include "engine/calibration/quality/layer_evaluation.h"

#include <c10/core/InferenceMode.h>

#include <utility>

#include "base/status_macros.h"
#include "engine/model/aten/aten.h"

namespace seer {
namespace {

template <typename Fn>
auto OnTensors(Fn fn) -> decltype(fn()) {
  return CatchingExceptions("evaluating a gate", [&fn] {
    const c10::InferenceMode inference;
    return fn();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<LayerEvaluation>> LayerEvaluation::Begin(
    const LayerScorer& scorer, std::vector<int64_t> sequence_lens,
    const LayerQuestions& questions) {
  std::unique_ptr<LayerEvaluation> evaluation(new LayerEvaluation());
  const int32_t num_heads = scorer.num_query_heads();
  const Device* const device = scorer.device();
  if (questions.recall) {
    SEER_ASSIGN_OR_RETURN(
        evaluation->recall_,
        RecallMetrics::Create(questions.budgets, num_heads, device));
  }
  if (questions.utility) {
    SEER_ASSIGN_OR_RETURN(
        evaluation->utility_,
        UtilityMetrics::Create(questions.budgets, num_heads, device));
  }
  SEER_ASSIGN_OR_RETURN(evaluation->pass_, OnTensors([&] {
                          return scorer.Begin(std::move(sequence_lens));
                        }));
  return evaluation;
}

absl::Status LayerEvaluation::AddRange(const TileRange& range,
                                       const RangeTruth& truth) {
  return OnTensors([&]() -> absl::Status {
    SEER_RETURN_IF_ERROR(pass_->AddRange(range));
    if (recall_ == nullptr && utility_ == nullptr) return absl::OkStatus();
    return Judge(range, pass_->scores(), truth);
  });
}

absl::Status LayerEvaluation::Judge(const TileRange& range,
                                    const BlockScores& scores,
                                    const RangeTruth& truth) {
  const PromptTiles tiles = {pass_->sequence_len(), range.first_tile,
                             range.last_tile};
  if (recall_ != nullptr) {
    RecallRange judged;
    judged.tiles = tiles;
    judged.logits = scores.data;
    judged.logits_row_len = scores.row_len;
    judged.target = range.target;
    judged.mass = truth.mass;
    judged.row_len = range.row_len;
    SEER_RETURN_IF_ERROR(recall_->AddRange(judged));
  }
  if (utility_ != nullptr) {
    UtilityRange measured;
    measured.tiles = tiles;
    measured.logits = scores.data;
    measured.row_len = scores.row_len;
    measured.errors = truth.errors;
    SEER_RETURN_IF_ERROR(utility_->AddRange(measured));
  }
  return absl::OkStatus();
}

absl::Status LayerEvaluation::EndSequence() {
  return OnTensors([&] { return pass_->EndSequence(); });
}

absl::StatusOr<LayerQuality> LayerEvaluation::End() {
  if (!pass_->is_complete()) {
    return absl::FailedPreconditionError(
        "calibration: an evaluation ends before its last sequence");
  }
  return OnTensors([&]() -> absl::StatusOr<LayerQuality> {
    LayerQuality quality;
    quality.loss = pass_->loss();
    if (recall_ != nullptr) {
      SEER_ASSIGN_OR_RETURN(quality.recall, recall_->Result());
    }
    if (utility_ != nullptr) {
      SEER_ASSIGN_OR_RETURN(quality.utility, utility_->Result());
    }
    return quality;
  });
}

}  // namespace seer
