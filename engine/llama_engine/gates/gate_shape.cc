#include "engine/llama_engine/gates/gate_shape.h"

namespace seer {

GateShape GateShapeOf(const LlamaModel& model) {
  const ModelConfig& config = model.config();
  GateShape shape;
  shape.num_layers = config.num_layers;
  shape.num_query_heads = config.num_query_heads;
  shape.num_kv_heads = config.num_kv_heads;
  shape.head_dim = config.head_dim;
  shape.dtype = model.dtype();
  return shape;
}

}  // namespace seer
