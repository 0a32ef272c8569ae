#include "engine/weights/model_config.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"
#include "engine/weights/rope_json.h"
#include "kernels/argument_checks.h"
#include "kernels/paged_kv.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

// Far above any model, far below what would overflow a product of two.
constexpr int64_t kMaxSize = 1 << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 1024;
constexpr int64_t kMaxVocab = 1 << 22;
constexpr int64_t kMaxContext = 1 << 24;

absl::StatusOr<int64_t> ReadInRange(const JsonView& json, int64_t min,
                                    int64_t max) {
  SEER_ASSIGN_OR_RETURN(const int64_t value, json.Int64());
  if (value >= min && value <= max) return value;
  return json.Error(absl::StrCat("want ", min, " to ", max, ", got ", value));
}

absl::Status CheckArchitecture(const JsonView& config) {
  const JsonView list = config["architectures"];
  SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> names, list.Array());
  if (names.size() != 1) return list.Error("want exactly one architecture");
  SEER_ASSIGN_OR_RETURN(const std::string name, names[0].String());
  if (name != "LlamaForCausalLM") {
    return names[0].Unsupported(absl::StrCat(
        names[0].Excerpt(), " is not supported, only LlamaForCausalLM"));
  }
  const JsonView type = config["model_type"];
  SEER_ASSIGN_OR_RETURN(const std::string model_type, type.String());
  if (model_type == "llama") return absl::OkStatus();
  return type.Unsupported(
      absl::StrCat(type.Excerpt(), " is not supported, only \"llama\""));
}

// Keys that change the computation and have one supported value, which is also
// what a missing key means.
absl::Status CheckFixed(const JsonView& config) {
  const std::pair<const char*, nlohmann::json> fixed[] = {
      {"attention_bias", false},       {"mlp_bias", false},
      {"hidden_act", "silu"},          {"rope_interleaved", false},
      {"partial_rotary_factor", 1.0},  {"sliding_window", nullptr},
      {"quantization_config", nullptr}};
  for (const auto& [key, value] : fixed) {
    const JsonView json = config[key];
    if (json.IsNull() || *json.value() == value) continue;
    return json.Unsupported(absl::StrCat(json.Excerpt(), " is not supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenId>> ReadTokenIds(const JsonView& json,
                                                  int32_t vocab_size) {
  std::vector<TokenId> ids;
  if (json.IsNull()) return ids;
  std::vector<JsonView> elements = {json};
  if (json.IsArray()) {
    SEER_ASSIGN_OR_RETURN(elements, json.Array());
  }
  for (const JsonView& element : elements) {
    SEER_ASSIGN_OR_RETURN(const int64_t id,
                          ReadInRange(element, 0, vocab_size - 1));
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

absl::Status ReadSizes(const JsonView& json, ModelConfig* config) {
  struct Size {
    const char* key;
    int64_t max;
    int32_t* value;
  };
  for (const Size& size : {
           Size{"hidden_size", kMaxSize, &config->hidden_size},
           Size{"intermediate_size", kMaxSize, &config->intermediate_size},
           Size{"num_hidden_layers", kMaxLayers, &config->num_layers},
           Size{"num_attention_heads", kMaxHeads, &config->num_query_heads},
           Size{"vocab_size", kMaxVocab, &config->vocab_size},
       }) {
    SEER_ASSIGN_OR_RETURN(const int64_t value,
                          ReadInRange(json[size.key], 1, size.max));
    *size.value = static_cast<int32_t>(value);
  }
  SEER_ASSIGN_OR_RETURN(
      config->context_len,
      ReadInRange(json["max_position_embeddings"], 1, kMaxContext));
  return absl::OkStatus();
}

absl::Status ReadHeads(const JsonView& json, ModelConfig* config) {
  config->num_kv_heads = config->num_query_heads;
  const JsonView kv_heads = json["num_key_value_heads"];
  if (!kv_heads.IsNull()) {
    SEER_ASSIGN_OR_RETURN(const int64_t value,
                          ReadInRange(kv_heads, 1, kMaxHeads));
    config->num_kv_heads = static_cast<int32_t>(value);
  }
  if (config->num_query_heads % config->num_kv_heads != 0) {
    return kv_heads.Error(absl::StrCat(config->num_kv_heads,
                                       " does not divide num_attention_heads ",
                                       config->num_query_heads));
  }
  if (config->num_query_heads / config->num_kv_heads > kMaxQueryGroup) {
    return kv_heads.Error(absl::StrCat(
        "num_attention_heads is ", config->num_query_heads, ", more than ",
        kMaxQueryGroup, " times ", config->num_kv_heads));
  }
  const JsonView head_dim = json["head_dim"];
  if (head_dim.IsNull()) {
    if (config->hidden_size % config->num_query_heads != 0) {
      return json["hidden_size"].Error(
          absl::StrCat(config->hidden_size, " is no multiple of ",
                       "num_attention_heads, and head_dim is missing"));
    }
    config->head_dim = config->hidden_size / config->num_query_heads;
  } else {
    SEER_ASSIGN_OR_RETURN(const int64_t value,
                          ReadInRange(head_dim, 2, kMaxHeadDim));
    config->head_dim = static_cast<int32_t>(value);
  }
  if (config->head_dim % 2 != 0 || config->head_dim > kMaxHeadDim) {
    return head_dim.Error(absl::StrCat("want even and at most ", kMaxHeadDim,
                                       ", got ", config->head_dim));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text) {
  SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
                        ParseJson(text, "config.json"));
  const JsonView root(&json, "config.json");
  SEER_RETURN_IF_ERROR(root.CheckObject());
  SEER_RETURN_IF_ERROR(CheckArchitecture(root));
  SEER_RETURN_IF_ERROR(CheckFixed(root));
  ModelConfig config;
  config.model_type = "llama";
  SEER_RETURN_IF_ERROR(ReadSizes(root, &config));
  SEER_RETURN_IF_ERROR(ReadHeads(root, &config));
  const JsonView epsilon = root["rms_norm_eps"];
  SEER_ASSIGN_OR_RETURN(config.rms_norm_eps, epsilon.Number());
  if (!(config.rms_norm_eps > 0.0 && config.rms_norm_eps < 1.0)) {
    return epsilon.Error(
        absl::StrCat("want more than 0 and below 1, got ", epsilon.Excerpt()));
  }
  SEER_ASSIGN_OR_RETURN(config.rope,
                        ParseRope(root, config.head_dim, config.context_len));
  if (!root["tie_word_embeddings"].IsNull()) {
    SEER_ASSIGN_OR_RETURN(config.tie_word_embeddings,
                          root["tie_word_embeddings"].Bool());
  }
  SEER_ASSIGN_OR_RETURN(config.bos_ids,
                        ReadTokenIds(root["bos_token_id"], config.vocab_size));
  SEER_ASSIGN_OR_RETURN(config.eos_ids,
                        ReadTokenIds(root["eos_token_id"], config.vocab_size));
  return config;
}

absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& folder) {
  SEER_ASSIGN_OR_RETURN(const MappedFile file,
                        MappedFile::Open(absl::StrCat(folder, "/config.json")));
  const absl::Span<const uint8_t> bytes = file.bytes();
  return ParseModelConfig(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace seer
