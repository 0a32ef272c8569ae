// Which gates fit a base model.
#ifndef SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SHAPE_H_
#define SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SHAPE_H_

#include "engine/gate/gate.h"
#include "engine/model/llama_model.h"

namespace seer {

GateShape GateShapeOf(const LlamaModel& model);

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SHAPE_H_
