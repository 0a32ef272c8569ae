#include "engine/model/parts/llama_weights.h"

#include <ATen/ops/empty.h>

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/weights/llama_tensors.h"

namespace seer {
namespace {

// Makes tensors by the names of their weights.
class Maker {
 public:
  Maker(const ModelConfig& config, const at::TensorOptions& options,
        WeightSource& source)
      : shapes_(LlamaTensorShapes(config)),
        options_(options),
        source_(source) {}

  at::Tensor Make(const std::string& name) const {
    at::Tensor tensor = at::empty(shapes_.at(name), options_);
    source_.Fill(name, tensor);
    return tensor;
  }

  // The rows of several matrices as one.
  Linear MakeLinear(const std::string& prefix,
                    std::initializer_list<const char*> parts) const {
    std::vector<std::string> names;
    int64_t num_rows = 0;
    for (const char* part : parts) {
      names.push_back(absl::StrCat(prefix, part, ".weight"));
      num_rows += shapes_.at(names.back())[0];
    }
    const at::Tensor matrix =
        at::empty({num_rows, shapes_.at(names[0])[1]}, options_);
    int64_t row = 0;
    for (const std::string& name : names) {
      const int64_t rows = shapes_.at(name)[0];
      source_.Fill(name, matrix.narrow(0, row, rows));
      row += rows;
    }
    return Linear(matrix);
  }

 private:
  const std::map<std::string, std::vector<int64_t>> shapes_;
  const at::TensorOptions options_;
  WeightSource& source_;
};

}  // namespace

LlamaWeights LlamaWeights::Make(const ModelConfig& config,
                                const at::TensorOptions& options,
                                WeightSource& source) {
  const Maker maker(config, options, source);
  LlamaWeights weights;
  weights.embedding = maker.Make("model.embed_tokens.weight");
  for (int32_t l = 0; l < config.num_layers; ++l) {
    const std::string prefix = absl::StrCat("model.layers.", l, ".");
    Layer layer;
    layer.input_norm = maker.Make(prefix + "input_layernorm.weight");
    layer.qkv = maker.MakeLinear(
        prefix, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
    layer.output = maker.MakeLinear(prefix, {"self_attn.o_proj"});
    layer.post_attention_norm =
        maker.Make(prefix + "post_attention_layernorm.weight");
    layer.gate_up = maker.MakeLinear(prefix, {"mlp.gate_proj", "mlp.up_proj"});
    layer.down = maker.MakeLinear(prefix, {"mlp.down_proj"});
    weights.layers.push_back(std::move(layer));
  }
  weights.final_norm = maker.Make("model.norm.weight");
  weights.lm_head = config.tie_word_embeddings
                        ? Linear(weights.embedding)
                        : maker.MakeLinear("", {"lm_head"});
  return weights;
}

int64_t LlamaWeights::num_bytes() const {
  size_t bytes = embedding.nbytes() + final_norm.nbytes();
  if (!lm_head.Shares(embedding)) bytes += lm_head.num_bytes();
  for (const Layer& layer : layers) {
    bytes += layer.input_norm.nbytes() + layer.qkv.num_bytes() +
             layer.output.num_bytes() + layer.post_attention_norm.nbytes() +
             layer.gate_up.num_bytes() + layer.down.num_bytes();
  }
  return static_cast<int64_t>(bytes);
}

}  // namespace seer
