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
}

void AddShare(double share, const std::vector<double>& added,
              std::vector<double>* mean) {
  mean->resize(added.size());
  for (size_t i = 0; i < added.size(); ++i) (*mean)[i] += share * added[i];
}

void AddShare(double share, const LayerQuality& added, LayerQuality* mean) {
  mean->loss += share * added.loss;
  mean->recall.resize(added.recall.size());
  for (size_t d = 0; d < added.recall.size(); ++d) {
    AddShare(share, added.recall[d], &mean->recall[d]);
  }
  AddShare(share, added.utility.realized_densities,
           &mean->utility.realized_densities);
  AddShare(share, added.utility.utility, &mean->utility.utility);
  AddShare(share, added.utility.full, &mean->utility.full);
}

}  // namespace

LayerMeasurement::LayerMeasurement(std::vector<int64_t> sequences,
                                   LayerQuestions questions,
                                   int64_t sequence_len,
                                   const LayerScorers* scorers)
    : sequences_(std::move(sequences)),
      questions_(std::move(questions)),
      sequence_len_(sequence_len),
      scorers_(scorers),
      means_(scorers->size()) {}

absl::Status LayerMeasurement::Add(const PassPart& part) {
  if (!part.is_scored) return absl::OkStatus();
  if (evaluation_ == nullptr) {
    SEER_ASSIGN_OR_RETURN(evaluation_,
                          LayerEvaluation::Begin(*(*scorers_)[part.layer],
                                                 {sequence_len_}, questions_));
  }
  SEER_RETURN_IF_ERROR(evaluation_->AddRange(part.range, part.truth));
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
    AddShare(share, of_sequence_[layer], &means_[layer]);
  }
  of_sequence_.clear();
  ++num_done_;
}

void LayerMeasurement::Abandon() {
  evaluation_.reset();
  of_sequence_.clear();
}

}  // namespace seer
