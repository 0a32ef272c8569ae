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

LayerEvaluation::LayerEvaluation(std::unique_ptr<RecallMetrics> recall)
    : recall_(std::move(recall)) {}

LayerEvaluation::~LayerEvaluation() = default;

absl::StatusOr<std::unique_ptr<LayerEvaluation>> LayerEvaluation::Begin(
    const LayerTrainer& trainer, std::vector<int64_t> sequence_lens,
    const RecallOptions& options) {
  const GateNetwork& network = trainer.network();
  SEER_RETURN_IF_ERROR(GatePass::Check(network, sequence_lens));
  SEER_ASSIGN_OR_RETURN(
      std::unique_ptr<RecallMetrics> recall,
      RecallMetrics::Create(options, network.shape.num_query_heads,
                            trainer.device()));
  std::unique_ptr<LayerEvaluation> evaluation(
      new LayerEvaluation(std::move(recall)));
  SEER_RETURN_IF_ERROR(OnTensors([&] {
    evaluation->pass_.reset(
        new Pass{GatePass(network, trainer.options().training.loss,
                          std::move(sequence_lens), trainer.device())});
    return absl::OkStatus();
  }));
  return evaluation;
}

absl::Status LayerEvaluation::AddRange(const TileRange& range,
                                       const float* mass) {
  return OnTensors([&]() -> absl::Status {
    GatePass& pass = pass_->sequences;
    SEER_RETURN_IF_ERROR(pass.AddRange(range, /*gradients=*/nullptr));
    // As the kernels have them: [tiles, Hq, blocks].
    const at::Tensor logits = pass.logits().transpose(0, 1).contiguous();
    RecallRange judged;
    judged.prompt_len = pass.sequence_len();
    judged.first_tile = range.first_tile;
    judged.last_tile = range.last_tile;
    judged.logits = logits.const_data_ptr<float>();
    judged.logits_row_len = range.last_tile;
    judged.target = range.target;
    judged.mass = mass;
    judged.row_len = range.row_len;
    return recall_->AddRange(judged);
  });
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
    SEER_ASSIGN_OR_RETURN(quality.recall, recall_->Result());
    return quality;
  });
}

}  // namespace seer
