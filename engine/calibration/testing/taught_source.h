// A base model whose layers attend as gates of known weights say.
#ifndef SEER_ENGINE_CALIBRATION_TESTING_TAUGHT_SOURCE_H_
#define SEER_ENGINE_CALIBRATION_TESTING_TAUGHT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/calibration/run/layer_source.h"
#include "engine/calibration/testing/teacher_gate.h"
#include "engine/calibration/tile_range.h"
#include "engine/calibrator.h"
#include "engine/device/device.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"
#include "kernels/block_sets.h"
#include "kernels/rope.h"

namespace seer {

// Sequence i is all token i, which says which sequence it is.
class NumberedSequences final : public TokenSequences {
 public:
  NumberedSequences(int64_t num_sequences, int64_t sequence_len)
      : num_sequences_(num_sequences), sequence_len_(sequence_len) {}

  int64_t num_sequences() const override { return num_sequences_; }
  absl::StatusOr<std::vector<TokenId>> Read(int64_t index) const override {
    if (!error.ok()) return error;
    return std::vector<TokenId>(sequence_len_, static_cast<TokenId>(index));
  }

  absl::Status error;

 private:
  const int64_t num_sequences_;
  const int64_t sequence_len_;
};

// The max and the mass target are the same. A layer's pools are a function of
// it and of the sequence's first token.
class TaughtSource final : public LayerSource {
 public:
  TaughtSource(const GateShape& shape, const GateDesign& design,
               int64_t max_tokens, Device* device);

  RopeTable rope() const { return teachers_[0].rope(); }

  absl::StatusOr<bool> BeginSequence(std::vector<TokenId> tokens) override;
  absl::StatusOr<LayerTruth> Run(int32_t layer, const TileSpan& span,
                                 const WantedTargets& wanted) override;
  // Heads err by the mass that they do not read; the last writes 100 times as
  // much as the others.
  absl::Status AddOutputErrors(const BlockSets& sets, double* sums) override;
  void EndSequence() override;

  // What BeginSequence and Run answer: OK and `has_memory`.
  absl::Status error;
  bool has_memory = true;

  bool is_under_way() const { return num_tokens_ > 0; }
  // First tokens of the sequences whose targets were asked for.
  const std::set<TokenId>& seen() const { return seen_; }

 private:
  const int64_t num_heads_;
  Device* const device_;
  std::vector<TeacherGate> teachers_;  // [layers]
  int64_t num_tokens_ = 0;             // of the sequence under way; 0: none
  TokenId token_ = 0;
  int32_t layer_ = -1;  // that sequence_ is of
  int64_t next_tile_ = 0;
  TaughtSequence sequence_;
  TileRange range_;          // of sequence_, last run
  bool has_output_ = false;  // of that
  std::set<TokenId> seen_;
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TESTING_TAUGHT_SOURCE_H_
