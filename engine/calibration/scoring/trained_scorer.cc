#include "engine/calibration/scoring/trained_scorer.h"

#include <utility>

#include "base/status_macros.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/training/gate_pass.h"

namespace seer {
namespace {

class TrainedPass final : public ScorePass {
 public:
  explicit TrainedPass(GatePass pass) : pass_(std::move(pass)) {}

  absl::Status AddRange(const TileRange& range) override {
    return pass_.AddRange(range, /*gradients=*/nullptr);
  }
  BlockScores scores() override {
    // As the kernels have them: [tiles, Hq, blocks].
    scores_ = pass_.logits().transpose(0, 1).contiguous();
    return {scores_.const_data_ptr<float>(), scores_.size(2)};
  }
  absl::Status EndSequence() override {
    return pass_.EndSequence(/*gradients=*/nullptr);
  }
  bool is_complete() const override { return pass_.is_complete(); }
  int64_t sequence_len() const override { return pass_.sequence_len(); }
  double loss() const override { return pass_.loss().item<double>(); }

 private:
  GatePass pass_;
  at::Tensor scores_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ScorePass>> TrainedScorer::Begin(
    std::vector<int64_t> sequence_lens) const {
  const GateNetwork& network = trainer_->network();
  SEER_RETURN_IF_ERROR(GatePass::Check(network, sequence_lens));
  return std::make_unique<TrainedPass>(
      GatePass(network, trainer_->options().training.loss,
               std::move(sequence_lens), trainer_->device()));
}

}  // namespace seer
