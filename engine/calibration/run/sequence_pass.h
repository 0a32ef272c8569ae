// One sequence at a time on its way through the base model. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_SEQUENCE_PASS_H_
#define SEER_ENGINE_CALIBRATION_RUN_SEQUENCE_PASS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/plan/tile_spans.h"
#include "engine/calibration/quality/layer_evaluation.h"
#include "engine/calibration/run/layer_source.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibrator.h"

namespace seer {

// What a micro-step has of the base model.
struct PassPart {
  int32_t layer = 0;
  TileRange range;         // with the target that a gate is trained on: for
                           // kRootMass the mass, whose roots the loss takes
  RangeTruth truth;        // as far as it is wanted
  bool is_scored = false;  // in part after the border; else it has no target
  bool ends_layer = false;
  bool ends_sequence = false;
};

class SequencePass {
 public:
  struct Parts {
    LayerSource* source = nullptr;  // borrowed
    int64_t sequence_len = 0;       // tokens
    int32_t num_layers = 0;
    CalibrationTarget target = CalibrationTarget::kMax;
    SpanLimits limits;
  };
  explicit SequencePass(const Parts& parts) : parts_(parts) {}
  // Ends what is under way.
  ~SequencePass() { End(); }
  SequencePass(const SequencePass&) = delete;
  SequencePass& operator=(const SequencePass&) = delete;

  // Begins with a sequence of sequence_len tokens. Its spans before `border`,
  // a tile, are computed only for those behind them; of these `wanted` comes
  // beside the target that a gate is trained on. False: the source has no
  // memory for it now.
  absl::StatusOr<bool> Begin(std::vector<TokenId> tokens, int64_t border,
                             const WantedTargets& wanted);
  bool is_under_way() const { return is_under_way_; }

  // Whether the first part of a sequence with that border is scored; and the
  // next part of the one under way.
  bool FirstIsScored(int64_t border) const;
  bool next_is_scored() const { return spans_[span_].last > border_; }

  // The next part, of a sequence under way. What it points to is valid until
  // the next call; after the last part call End.
  absl::StatusOr<PassPart> Next();

  // Gives the source's memory back.
  void End();

  // Tokens times layers, of the sequence under way; 0 without one.
  int64_t num_token_layers_done() const { return num_token_layers_; }

 private:
  std::vector<TileSpan> Spans(int64_t border) const;

  const Parts parts_;
  bool is_under_way_ = false;
  WantedTargets wanted_;
  int64_t border_ = 0;
  std::vector<TileSpan> spans_;
  int32_t layer_ = 0;
  size_t span_ = 0;
  int64_t num_token_layers_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_SEQUENCE_PASS_H_
