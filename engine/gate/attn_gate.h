// The learned gate: AttnGate of SeerAttention (arXiv 2410.13276), in all its
// designs.
#ifndef SEER_ENGINE_GATE_ATTN_GATE_H_
#define SEER_ENGINE_GATE_ATTN_GATE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"

namespace seer {

// One layer's projections, row-major, in the model's dtype.
struct AttnGateWeights {
  std::vector<uint8_t> linear_q;  // [Hq, nq * D, D]; empty: single-linear
  std::vector<uint8_t> linear_k;  // [Hq (single) or Hk (double), nk * D, D]
};

class AttnGate final : public Gate {
 public:
  // `layers` [num_layers], all single- or all double-linear, of the sizes
  // above; single-linear only where the design has one query pool.
  AttnGate(const GateShape& shape, const GateDesign& design,
           std::vector<AttnGateWeights> layers)
      : design_(design),
        num_entry_heads_(layers[0].linear_q.empty() ? shape.num_query_heads
                                                    : shape.num_kv_heads),
        layers_(std::move(layers)) {}

  std::string design() const override { return design_.Name(); }
  GateLayer layer(int32_t layer) const override {
    const AttnGateWeights& weights = layers_[layer];
    GateLayer gate;
    gate.query_pools = design_.query_pools;
    gate.key_pools = design_.key_pools;
    if (!weights.linear_q.empty()) gate.linear_q = weights.linear_q.data();
    gate.linear_k = weights.linear_k.data();
    return gate;
  }
  int32_t num_entry_heads() const override { return num_entry_heads_; }

 private:
  GateDesign design_;
  int32_t num_entry_heads_;
  std::vector<AttnGateWeights> layers_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_ATTN_GATE_H_
