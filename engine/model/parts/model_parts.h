// What every pass of a model uses.
#ifndef SEER_ENGINE_MODEL_PARTS_MODEL_PARTS_H_
#define SEER_ENGINE_MODEL_PARTS_MODEL_PARTS_H_

#include <ATen/core/Tensor.h>

#include "engine/device/device.h"
#include "engine/device/transfer_buffer.h"
#include "engine/model/parts/llama_weights.h"
#include "engine/weights/model_config.h"
#include "kernels/dtype.h"

namespace seer {

// What a model keeps on its device.
struct ModelTensors {
  LlamaWeights weights;
  at::Tensor rope_cos;  // fp32 [context_len, D / 2]
  at::Tensor rope_sin;  // fp32 [context_len, D / 2]
  at::Tensor epsilon;   // fp32 [1]
};

// Of a model; everything is borrowed.
struct ModelParts {
  const ModelConfig* config = nullptr;
  DType dtype = DType::kBFloat16;
  Device* device = nullptr;
  const ModelTensors* tensors = nullptr;
  // Kept from step to step.
  TransferBuffer* inputs = nullptr;
  TransferBuffer* results = nullptr;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_PARTS_MODEL_PARTS_H_
