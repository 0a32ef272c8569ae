// How good what ranks all layers' blocks is, over some sequences. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_LAYER_MEASUREMENT_H_
#define SEER_ENGINE_CALIBRATION_RUN_LAYER_MEASUREMENT_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/calibration/quality/layer_evaluation.h"
#include "engine/calibration/run/sequence_pass.h"
#include "engine/calibration/scoring/layer_scorer.h"

namespace seer {

// Sequences have one length, so that the mean of their means is that of all
// their tiles: one that is abandoned is repeated alone. Of sums over rows,
// those of utilities, the mean is that of the sequences.
class LayerMeasurement {
 public:
  // Of `sequences`, by index. The scorers are borrowed, and what they are of
  // does not change meanwhile.
  LayerMeasurement(std::vector<int64_t> sequences, LayerQuestions questions,
                   int64_t sequence_len, const LayerScorers* scorers);

  bool is_done() const { return num_done_ == sequences_.size(); }
  // The sequence to go through next; not for one that is done.
  int64_t sequence() const { return sequences_[num_done_]; }
  int64_t num_left() const {
    return static_cast<int64_t>(sequences_.size() - num_done_);
  }
  int64_t num_sequences() const {
    return static_cast<int64_t>(sequences_.size());
  }
  const LayerQuestions& questions() const { return questions_; }

  // The sequence's next part. Waits for the device where a layer ends. Errors
  // of LayerEvaluation.
  absl::Status Add(const PassPart& part);

  // The sequence comes again from its beginning.
  void Abandon();

  // [layers]: the means, of a measurement that is done.
  const std::vector<LayerQuality>& means() const { return means_; }

 private:
  absl::Status EndLayer();
  // Adds its share of the mean.
  void EndSequence();

  const std::vector<int64_t> sequences_;
  const LayerQuestions questions_;
  const int64_t sequence_len_;
  const LayerScorers* const scorers_;
  size_t num_done_ = 0;
  std::unique_ptr<LayerEvaluation> evaluation_;  // of the current layer
  std::vector<LayerQuality> of_sequence_;        // layers so far
  std::vector<LayerQuality> means_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_LAYER_MEASUREMENT_H_
