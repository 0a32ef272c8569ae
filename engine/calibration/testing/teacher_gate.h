// A layer whose attention is what a gate of known weights says: calibration has
// something to find, and the best loss is 0.
#ifndef SEER_ENGINE_CALIBRATION_TESTING_TEACHER_GATE_H_
#define SEER_ENGINE_CALIBRATION_TESTING_TEACHER_GATE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/calibration/network/gate_network.h"
#include "engine/calibration/tile_range.h"
#include "engine/device/device.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"
#include "kernels/rope.h"

namespace seer {

// A whole sequence, on the teacher's device.
struct TaughtSequence {
  int64_t num_tokens = 0;
  at::Tensor pooled_queries;  // fp32 [n, Hq, kNumPools, D]
  at::Tensor pooled_keys;     // fp32 [n, Hk, kNumPools, D]
  at::Tensor target;          // fp32 [n, Hq, n]; NaN past the visible blocks

  int64_t num_tiles() const { return target.size(0); }
  // Points into this object.
  TileRange Range(int64_t first_tile, int64_t last_tile) const;
};

class TeacherGate {
 public:
  // For sequences of at most `max_tokens`. Double-linear if the design has more
  // than one query pool. Its logits' standard deviation is about 1.5, with
  // normal pools.
  TeacherGate(const GateShape& shape, const GateDesign& design,
              int64_t max_tokens, uint64_t seed, Device* device);

  RopeTable rope() const;  // on the device, of every position
  const GateNetwork& network() const { return network_; }

  // Normal pools, and the teacher's own probabilities as target.
  TaughtSequence MakeSequence(int64_t num_tokens, uint64_t seed) const;

 private:
  GateNetwork network_;
  at::Tensor cos_, sin_;  // [positions, D / 2]
};

}  // namespace seer

#endif  // SEER_ENGINE_CALIBRATION_TESTING_TEACHER_GATE_H_
