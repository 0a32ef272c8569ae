// What a model's config.json says, checked.
#ifndef SEER_ENGINE_WEIGHTS_MODEL_CONFIG_H_
#define SEER_ENGINE_WEIGHTS_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/token.h"
#include "kernels/rope.h"

namespace seer {

// A Llama model (LlamaForCausalLM): RMS norms, SiLU-gated MLP, grouped-query
// attention with rotary embedding, no biases.
struct ModelConfig {
  std::string model_type;  // "llama"
  int32_t hidden_size = 0;
  int32_t intermediate_size = 0;
  int32_t num_layers = 0;
  int32_t num_query_heads = 0;
  int32_t num_kv_heads = 0;  // divides num_query_heads
  int32_t head_dim = 0;      // even, <= 256
  int32_t vocab_size = 0;
  int64_t context_len = 0;  // max_position_embeddings
  double rms_norm_eps = 0.0;
  RopeConfig rope;
  bool tie_word_embeddings = false;
  std::vector<TokenId> bos_ids;  // as written: none, one or several
  std::vector<TokenId> eos_ids;
};

// Reads config.json's text. Keys that change nothing here (torch_dtype, dropout
// of training, ...) are ignored; keys that would change the computation in a
// way not offered here are refused.
// INVALID_ARGUMENT: no JSON, a missing field, a wrong type, a value out of
// range; the message names the field. UNIMPLEMENTED: another architecture,
// activation, bias or rope type, named.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json);

// The same from `folder`/config.json. NOT_FOUND: no such file.
absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& folder);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_MODEL_CONFIG_H_
