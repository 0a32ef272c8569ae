#include "engine/calibration/run/layer_measurement.h"

#include <utility>

#include "base/status_macros.h"

namespace seer {
namespace {

// mean += share * added, member by member.
void AddShare(double share, const DensityRecall& added, DensityRecall* mean) {
  mean->density = added.density;
  mean->realized_density += share * added.realized_density;
  mean->mass_recall += share * added.mass_recall;
  mean->oracle_mass_recall += share * added.oracle_mass_recall;
  mean->block_recall += share * added.block_recall;
  mean->head_mass_recall.resize(added.head_mass_recall.size());
  for (size_t head = 0; head < added.head_mass_recall.size(); ++head) {
    mean->head_mass_recall[head] += share * added.head_mass_recall[head];
  }
}

}  // namespace

LayerMeasurement::LayerMeasurement(std::vector<int64_t> sequences,
                                   std::vector<double> densities,
                                   int64_t sequence_len,
                                   const LayerTrainers* trainers)
    : sequences_(std::move(sequences)),
      densities_(std::move(densities)),
      sequence_len_(sequence_len),
      trainers_(trainers),
      means_(trainers->size()) {
  for (LayerQuality& mean : means_) mean.recall.resize(densities_.size());
}

absl::Status LayerMeasurement::Add(const PassPart& part) {
  if (!part.is_scored) return absl::OkStatus();
  if (evaluation_ == nullptr) {
    RecallOptions options;
    options.densities = densities_;
    SEER_ASSIGN_OR_RETURN(evaluation_,
                          LayerEvaluation::Begin(*(*trainers_)[part.layer],
                                                 {sequence_len_}, options));
  }
  // Without densities nothing is read of the mass.
  SEER_RETURN_IF_ERROR(evaluation_->AddRange(
      part.range, measures_recall() ? part.mass : part.range.target));
  if (part.ends_layer) SEER_RETURN_IF_ERROR(EndLayer());
  if (part.ends_sequence) EndSequence();
  return absl::OkStatus();
}

absl::Status LayerMeasurement::EndLayer() {
  SEER_RETURN_IF_ERROR(evaluation_->EndSequence());
  SEER_ASSIGN_OR_RETURN(LayerQuality quality, evaluation_->End());
  evaluation_.reset();
  of_sequence_.push_back(std::move(quality));
  return absl::OkStatus();
}

void LayerMeasurement::EndSequence() {
  const double share = 1.0 / static_cast<double>(sequences_.size());
  for (size_t layer = 0; layer < means_.size(); ++layer) {
    means_[layer].loss += share * of_sequence_[layer].loss;
    for (size_t d = 0; d < densities_.size(); ++d) {
      AddShare(share, of_sequence_[layer].recall[d], &means_[layer].recall[d]);
    }
  }
  of_sequence_.clear();
  ++num_done_;
}

void LayerMeasurement::Abandon() {
  evaluation_.reset();
  of_sequence_.clear();
}

}  // namespace seer
