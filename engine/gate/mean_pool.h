// The gate without weights.
#ifndef SEER_ENGINE_GATE_MEAN_POOL_H_
#define SEER_ENGINE_GATE_MEAN_POOL_H_

#include <cstdint>
#include <string>

#include "engine/gate/gate.h"
#include "engine/gate/gate_design.h"

namespace seer {

// Scores a key block by the mean of its roped keys against the mean of the
// tile's roped queries.
class MeanPool final : public Gate {
 public:
  explicit MeanPool(const GateShape& shape) : shape_(shape) {}

  std::string design() const override { return kMeanPoolDesign; }
  GateLayer layer(int32_t) const override {
    GateLayer layer;
    layer.mean_pool = true;
    return layer;
  }
  int32_t num_entry_heads() const override { return shape_.num_kv_heads; }

 private:
  GateShape shape_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_MEAN_POOL_H_
