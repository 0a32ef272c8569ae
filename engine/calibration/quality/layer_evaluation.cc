#include "engine/calibration/quality/layer_evaluation.h"

#include <c10/core/InferenceMode.h>

#include <utility>

#include "base/status_macros.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/training/gate_pass.h"
#include "engine/model/aten.h"

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

struct LayerEvaluation::Pass {
  GatePass sequences;
};

LayerEvaluation::LayerEvaluation() = default;
LayerEvaluation::~LayerEvaluation() = default;

absl::StatusOr<std::unique_ptr<LayerEvaluation>> LayerEvaluation::Begin(
    const LayerTrainer& trainer, std::vector<int64_t> sequence_lens,
    const LayerQuestions& questions) {
  const GateNetwork& network = trainer.network();
  SEER_RETURN_IF_ERROR(GatePass::Check(network, sequence_lens));
  std::unique_ptr<LayerEvaluation> evaluation(new LayerEvaluation());
  const int32_t num_heads = network.shape.num_query_heads;
  if (questions.recall) {
    SEER_ASSIGN_OR_RETURN(
        evaluation->recall_,
        RecallMetrics::Create(questions.budgets, num_heads, trainer.device()));
  }
  if (questions.utility) {
    SEER_ASSIGN_OR_RETURN(
        evaluation->utility_,
        UtilityMetrics::Create(questions.budgets, num_heads, trainer.device()));
  }
  SEER_RETURN_IF_ERROR(OnTensors([&] {
    evaluation->pass_.reset(
        new Pass{GatePass(network, trainer.options().training.loss,
                          std::move(sequence_lens), trainer.device())});
    return absl::OkStatus();
  }));
  return evaluation;
}

absl::Status LayerEvaluation::AddRange(const TileRange& range,
                                       const RangeTruth& truth) {
  return OnTensors([&]() -> absl::Status {
    GatePass& pass = pass_->sequences;
    SEER_RETURN_IF_ERROR(pass.AddRange(range, /*gradients=*/nullptr));
    if (recall_ == nullptr && utility_ == nullptr) return absl::OkStatus();
    // As the kernels have them: [tiles, Hq, blocks].
    const at::Tensor logits = pass.logits().transpose(0, 1).contiguous();
    return Judge(range, logits.const_data_ptr<float>(), truth);
  });
}

absl::Status LayerEvaluation::Judge(const TileRange& range, const float* logits,
                                    const RangeTruth& truth) {
  const PromptTiles tiles = {pass_->sequences.sequence_len(), range.first_tile,
                             range.last_tile};
  if (recall_ != nullptr) {
    RecallRange judged;
    judged.tiles = tiles;
    judged.logits = logits;
    judged.logits_row_len = range.last_tile;
    judged.target = range.target;
    judged.mass = truth.mass;
    judged.row_len = range.row_len;
    SEER_RETURN_IF_ERROR(recall_->AddRange(judged));
  }
  if (utility_ != nullptr) {
    UtilityRange measured;
    measured.tiles = tiles;
    measured.logits = logits;
    measured.row_len = range.last_tile;
    measured.errors = truth.errors;
    SEER_RETURN_IF_ERROR(utility_->AddRange(measured));
  }
  return absl::OkStatus();
}

absl::Status LayerEvaluation::EndSequence() {
  return OnTensors(
      [&] { return pass_->sequences.EndSequence(/*gradients=*/nullptr); });
}

absl::StatusOr<LayerQuality> LayerEvaluation::End() {
  if (!pass_->sequences.is_complete()) {
    return absl::FailedPreconditionError(
        "calibration: an evaluation ends before its last sequence");
  }
  return OnTensors([&]() -> absl::StatusOr<LayerQuality> {
    LayerQuality quality;
    quality.loss = pass_->sequences.loss().item<double>();
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
