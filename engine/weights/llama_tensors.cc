#include "engine/weights/llama_tensors.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace seer {

std::map<std::string, std::vector<int64_t>> LlamaTensorShapes(
    const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const int64_t head_dim = config.head_dim;
  const int64_t query_rows = config.num_query_heads * head_dim;
  const int64_t kv_rows = config.num_kv_heads * head_dim;
  std::map<std::string, std::vector<int64_t>> shapes = {
      {"model.embed_tokens.weight", {config.vocab_size, hidden}},
      {"model.norm.weight", {hidden}},
  };
  if (!config.tie_word_embeddings) {
    shapes["lm_head.weight"] = {config.vocab_size, hidden};
  }
  const std::map<absl::string_view, std::vector<int64_t>> layer_shapes = {
      {"input_layernorm", {hidden}},
      {"self_attn.q_proj", {query_rows, hidden}},
      {"self_attn.k_proj", {kv_rows, hidden}},
      {"self_attn.v_proj", {kv_rows, hidden}},
      {"self_attn.o_proj", {hidden, query_rows}},
      {"post_attention_layernorm", {hidden}},
      {"mlp.gate_proj", {inner, hidden}},
      {"mlp.up_proj", {inner, hidden}},
      {"mlp.down_proj", {hidden, inner}},
  };
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    for (const auto& [name, shape] : layer_shapes) {
      shapes[absl::StrCat("model.layers.", layer, ".", name, ".weight")] =
          shape;
    }
  }
  return shapes;
}

bool IsIgnoredTensor(absl::string_view name, const ModelConfig& config) {
  return (config.tie_word_embeddings && name == "lm_head.weight") ||
         absl::EndsWith(name, ".rotary_emb.inv_freq");
}

}  // namespace seer
