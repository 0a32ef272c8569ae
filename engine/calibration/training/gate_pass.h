// The sequences of one step through one layer's gate.
#ifndef SEER_ENGINE_CALIBRATION_TRAINING_GATE_PASS_H_
#define SEER_ENGINE_CALIBRATION_TRAINING_GATE_PASS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/tile_cursor.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibration/training_options.h"
#include "engine/device/device.h"

namespace seer {

// Sequences and ranges come in the order of a TileCursor with the loss. Throws
// what ATen throws; is of no more use afterwards.
class GatePass {
 public:
  // `sequence_lens`: tokens of each sequence of the step, as Check takes them.
  GatePass(GateNetwork network, GateLoss loss,
           std::vector<int64_t> sequence_lens, const Device* device);

  // INVALID_ARGUMENT: no sequence, an empty one or one past the positions of
  // `network`, or none with a loss.
  static absl::Status Check(const GateNetwork& network,
                            const std::vector<int64_t>& sequence_lens);

  // Takes in a range and adds its share of the loss. With `gradients`, its
  // share of these too, and only the tiles with a loss are scored.
  // FAILED_PRECONDITION: every sequence has ended. INVALID_ARGUMENT: the range
  // is not the next one, or lacks a pointer.
  absl::Status AddRange(const TileRange& range, GateParameters* gradients);
  // Of the last range, if all its tiles were scored: [Hq, R, last_tile].
  const at::Tensor& logits() const { return logits_; }

  // FAILED_PRECONDITION: its last tile has not come.
  absl::Status EndSequence(GateParameters* gradients);

  bool is_complete() const { return cursor_.is_complete(); }
  const at::Tensor& loss() const { return loss_; }  // double, a scalar
  // Of the current sequence.
  int64_t sequence_len() const { return cursor_.sequence_len(); }

 private:
  void TakeKeys(const TileRange& range);

  const GateNetwork network_;
  const GateLoss loss_kind_;
  const Device* const device_;
  const double num_terms_;
  TileCursor cursor_;
  std::optional<GateSequence> sequence_;
  at::Tensor logits_;
  at::Tensor loss_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TRAINING_GATE_PASS_H_
