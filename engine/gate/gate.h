// A learned or built-in predictor of block importance, for one base model.
#ifndef SEER_ENGINE_GATE_GATE_H_
#define SEER_ENGINE_GATE_GATE_H_

#include <cstdint>
#include <string>

#include "kernels/dtype.h"
#include "kernels/gate_score/gate_score.h"

namespace seer {

// What a gate must know of the base model it serves.
struct GateShape {
  int32_t num_layers = 0;
  int32_t num_query_heads = 0;  // Hq
  int32_t num_kv_heads = 0;     // Hk
  int32_t head_dim = 0;         // D
  DType dtype = DType::kBFloat16;
};

// Immutable: any thread may read it.
class Gate {
 public:
  virtual ~Gate() = default;

  // The design's name, e.g. Qavg_Kmaxminavg or mean_pool.
  virtual std::string design() const = 0;

  // What layer `layer`, in [0, num_layers), computes. Its pointers live as
  // long as the gate and hold values of GateShape::dtype.
  virtual GateLayer layer(int32_t layer) const = 0;

  // Heads of a key entry: Hq or Hk, by design.
  virtual int32_t num_entry_heads() const = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_H_
