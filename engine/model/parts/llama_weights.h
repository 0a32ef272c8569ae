// A Llama's weights as tensors.
#ifndef SEER_ENGINE_MODEL_PARTS_LLAMA_WEIGHTS_H_
#define SEER_ENGINE_MODEL_PARTS_LLAMA_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/model/parts/linear.h"
#include "engine/model/parts/weight_source.h"
#include "engine/weights/model_config.h"

namespace seer {

// H hidden, I intermediate, V vocabulary, L layers; projections that read the
// same input are one matrix.
struct LlamaWeights {
  struct Layer {
    at::Tensor input_norm;  // [H]
    Linear qkv;             // H -> (Hq + 2 Hk) * D: queries, keys, values
    Linear output;          // Hq * D -> H
    at::Tensor post_attention_norm;  // [H]
    Linear gate_up;                  // H -> 2 I: gate, up
    Linear down;                     // I -> H
  };

  at::Tensor embedding;  // [V, H]
  std::vector<Layer> layers;
  at::Tensor final_norm;  // [H]
  Linear lm_head;         // H -> V

  // Tensors of `options`, its dtype and device, filled by `source`, which is
  // not needed afterwards. Throws what ATen throws.
  static LlamaWeights Make(const ModelConfig& config,
                           const at::TensorOptions& options,
                           WeightSource& source);

  // Bytes of all tensors.
  int64_t num_bytes() const;
};

}  // namespace seer

#endif  // SEER_ENGINE_MODEL_PARTS_LLAMA_WEIGHTS_H_
