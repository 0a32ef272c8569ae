// How good a layer's gate is on data that it was not trained on. No torch.
#ifndef SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_
#define SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/quality/recall_metrics.h"
#include "engine/calibration/quality/uniform_budgets.h"
#include "engine/calibration/quality/utility_metrics.h"
#include "engine/calibration/scoring/layer_scorer.h"
#include "engine/calibration/tile_range.h"

namespace seer {

// What is measured at the budgets, beside the loss.
struct LayerQuestions {
  UniformBudgets budgets;
  bool recall = false;
  bool utility = false;
};

// What the answers need of a range; the rest may be missing.
struct RangeTruth {
  const float* mass = nullptr;  // recall: the true probability in each block,
                                // [last - first, Hq, row_len] as range.target
  OutputErrors errors;          // utility
};

struct LayerQuality {
  double loss = 0.0;                  // the scorer's, over all sequences
  std::vector<DensityRecall> recall;  // one for each density, if asked for
  HeadUtilities utility;              // if asked for
};

// Called as LayerTrainer is. Recall and utility are over the tiles that the
// ranges bring, so these should begin at tile 0.
class LayerEvaluation {
 public:
  // Of what `scorer`, which outlives it, ranks blocks by. The errors of
  // LayerScorer::Begin and of RecallMetrics and UtilityMetrics::Create.
  static absl::StatusOr<std::unique_ptr<LayerEvaluation>> Begin(
      const LayerScorer& scorer, std::vector<int64_t> sequence_lens,
      const LayerQuestions& questions);

  // The errors of ScorePass, RecallMetrics and UtilityMetrics::AddRange.
  absl::Status AddRange(const TileRange& range, const RangeTruth& truth);

  // FAILED_PRECONDITION: the sequence's last tile has not come.
  absl::Status EndSequence();

  // Waits for the device. FAILED_PRECONDITION: sequences are missing.
  absl::StatusOr<LayerQuality> End();

 private:
  LayerEvaluation() = default;
  absl::Status Judge(const TileRange& range, const BlockScores& scores,
                     const RangeTruth& truth);

  std::unique_ptr<RecallMetrics> recall_;    // null: not asked for
  std::unique_ptr<UtilityMetrics> utility_;  // null: not asked for
  std::unique_ptr<ScorePass> pass_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_QUALITY_LAYER_EVALUATION_H_
