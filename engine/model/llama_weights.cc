#include "engine/model/llama_weights.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace seer {
namespace {

at::ScalarType ScalarTypeOf(WeightDType dtype) {
  switch (dtype) {
    case WeightDType::kFloat32:
      return at::kFloat;
    case WeightDType::kFloat16:
      return at::kHalf;
    case WeightDType::kBFloat16:
      return at::kBFloat16;
  }
  return at::kFloat;
}

// Reads tensors by name.
class Loader {
 public:
  Loader(const WeightFiles& files, DType dtype)
      : files_(files),
        dtype_(dtype == DType::kFloat32 ? at::kFloat : at::kBFloat16) {}

  // A copy: the file's values may be unaligned, and the file is let go.
  at::Tensor Read(const std::string& name) const {
    const Weight& weight = files_.Get(name);
    at::Tensor tensor = at::empty(weight.shape, ScalarTypeOf(weight.dtype));
    std::memcpy(tensor.mutable_data_ptr(), weight.values, weight.num_bytes);
    return tensor.to(dtype_);
  }

  // The rows of several matrices as one.
  Linear ReadLinear(const std::string& prefix,
                    std::initializer_list<const char*> names) const {
    std::vector<at::Tensor> parts;
    for (const char* name : names) {
      parts.push_back(Read(absl::StrCat(prefix, name, ".weight")));
    }
    return Linear(parts.size() == 1 ? parts[0] : at::cat(parts));
  }

 private:
  const WeightFiles& files_;
  const at::ScalarType dtype_;
};

}  // namespace

LlamaWeights LlamaWeights::Load(const ModelConfig& config,
                                const WeightFiles& files, DType dtype) {
  const Loader loader(files, dtype);
  LlamaWeights weights;
  weights.embedding = loader.Read("model.embed_tokens.weight");
  for (int32_t l = 0; l < config.num_layers; ++l) {
    const std::string prefix = absl::StrCat("model.layers.", l, ".");
    Layer layer;
    layer.input_norm = loader.Read(prefix + "input_layernorm.weight");
    layer.qkv = loader.ReadLinear(
        prefix, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
    layer.output = loader.ReadLinear(prefix, {"self_attn.o_proj"});
    layer.post_attention_norm =
        loader.Read(prefix + "post_attention_layernorm.weight");
    layer.gate_up = loader.ReadLinear(prefix, {"mlp.gate_proj", "mlp.up_proj"});
    layer.down = loader.ReadLinear(prefix, {"mlp.down_proj"});
    weights.layers.push_back(std::move(layer));
  }
  weights.final_norm = loader.Read("model.norm.weight");
  weights.lm_head = config.tie_word_embeddings
                        ? Linear(weights.embedding)
                        : loader.ReadLinear("", {"lm_head"});
  return weights;
}

int64_t LlamaWeights::num_bytes() const {
  size_t bytes = embedding.nbytes() + final_norm.nbytes() + lm_head.num_bytes();
  for (const Layer& layer : layers) {
    bytes += layer.input_norm.nbytes() + layer.qkv.num_bytes() +
             layer.output.num_bytes() + layer.post_attention_norm.nbytes() +
             layer.gate_up.num_bytes() + layer.down.num_bytes();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace seer
