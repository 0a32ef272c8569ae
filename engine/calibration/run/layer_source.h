// The base model, as calibration sees it. No torch.
#ifndef SEER_ENGINE_CALIBRATION_RUN_LAYER_SOURCE_H_
#define SEER_ENGINE_CALIBRATION_RUN_LAYER_SOURCE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/plan/tile_spans.h"
#include "engine/token.h"
#include "kernels/block_sets.h"

namespace seer {

struct WantedTargets {
  bool max = false;
  bool mass = false;
  bool output = false;  // AddOutputErrors may follow
};

// Of one layer and one span of tiles, as in TileRange (tile_range.h); a target
// that was not wanted may be null. Valid until the source's next Run or the
// sequence's end.
struct LayerTruth {
  const float* pooled_queries = nullptr;  // fp32 [span, Hq, kNumPools, D]
  const float* pooled_keys = nullptr;     // fp32 [span.last, Hk, kNumPools, D]
  const float* max_target = nullptr;      // fp32 [span, Hq, row_len]
  const float* mass_target = nullptr;     // fp32 [span, Hq, row_len]
  int64_t row_len = 0;                    // >= span.last
};

// One sequence at a time goes through it, layer by layer and span by span:
//
//   SEER_ASSIGN_OR_RETURN(const bool begun, source.BeginSequence(tokens));
//   if (!begun) ...  // later
//   for each layer, for each span: source.Run(layer, span, wanted);
//   source.EndSequence();
//
// Work is enqueued. After an error the sequence is of no more use but to
// EndSequence. RESOURCE_EXHAUSTED, from any call: no memory.
class LayerSource {
 public:
  virtual ~LayerSource() = default;

  // Takes the memory that a sequence needs. False: that is somebody else's now.
  virtual absl::StatusOr<bool> BeginSequence(std::vector<TokenId> tokens) = 0;

  // Spans of a layer ascend from tile 0 without a gap; layers ascend.
  virtual absl::StatusOr<LayerTruth> Run(int32_t layer, const TileSpan& span,
                                         const WantedTargets& wanted) = 0;

  // As OutputErrors (quality/utility_metrics.h), of the span last run, if its
  // output was wanted.
  virtual absl::Status AddOutputErrors(const BlockSets& sets, double* sums) = 0;

  // Gives the memory back, also in mid-sequence; without one, nothing.
  virtual void EndSequence() = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_RUN_LAYER_SOURCE_H_
