#include "tests/golden_tests/golden_layer.h"

#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/safetensors/safetensors.h"
#include "base/status_macros.h"

namespace seer {
namespace {

using Metadata = std::map<std::string, std::string>;

absl::StatusOr<double> Number(const Metadata& metadata,
                              const std::string& key) {
  const auto it = metadata.find(key);
  double value = 0.0;
  if (it == metadata.end() || !absl::SimpleAtod(it->second, &value)) {
    return absl::InvalidArgumentError(absl::StrCat("header: no number ", key));
  }
  return value;
}

// "maxminavg" -> the three; what stays of `names` is not a pool.
PoolSet ConsumePools(absl::string_view* names) {
  PoolSet pools;
  pools.max = absl::ConsumePrefix(names, "max");
  pools.min = absl::ConsumePrefix(names, "min");
  pools.avg = absl::ConsumePrefix(names, "avg");
  return pools;
}

// "Qavg_Kmaxmin".
absl::Status ParseDesign(absl::string_view design, GateWeights* gate) {
  absl::string_view rest = design;
  bool is_design = absl::ConsumePrefix(&rest, "Q");
  gate->query_pools = ConsumePools(&rest);
  is_design = is_design && absl::ConsumePrefix(&rest, "_K");
  gate->key_pools = ConsumePools(&rest);
  if (!is_design || !rest.empty() || gate->query_pools.size() == 0 ||
      gate->key_pools.size() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("header: design \"", design, "\""));
  }
  return absl::OkStatus();
}

// "factor 8, low 1, high 4, original 8192".
absl::StatusOr<RopeScaling> ParseScaling(RopeScaling::Type type,
                                         absl::string_view text) {
  RopeScaling scaling;
  scaling.type = type;
  for (const absl::string_view raw : absl::StrSplit(text, ',')) {
    const absl::string_view field = absl::StripAsciiWhitespace(raw);
    if (absl::StrContains(field, " ln ")) continue;  // the default, spelled out
    const size_t space = field.rfind(' ');
    double value = 0.0;
    if (space == absl::string_view::npos ||
        !absl::SimpleAtod(field.substr(space + 1), &value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("header: rope field \"", field, "\""));
    }
    const absl::string_view key = field.substr(0, space);
    if (key == "factor") {
      scaling.factor = value;
    } else if (key == "low" || key == "low_freq_factor") {
      scaling.low_freq_factor = value;
    } else if (key == "high" || key == "high_freq_factor") {
      scaling.high_freq_factor = value;
    } else if (absl::StartsWith(key, "original")) {
      scaling.original_max_position_embeddings = static_cast<int64_t>(value);
    } else if (key == "beta_fast") {
      scaling.beta_fast = value;
    } else if (key == "beta_slow") {
      scaling.beta_slow = value;
    } else if (key == "attention factor" || key == "attention_factor") {
      scaling.attention_factor = value;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("header: rope field \"", field, "\""));
    }
  }
  return scaling;
}

absl::Status ParseHeader(const Metadata& metadata, GoldenLayer* layer) {
  SEER_ASSIGN_OR_RETURN(const double len, Number(metadata, "seq_len"));
  SEER_ASSIGN_OR_RETURN(const double query_heads,
                        Number(metadata, "num_q_heads"));
  SEER_ASSIGN_OR_RETURN(const double kv_heads,
                        Number(metadata, "num_kv_heads"));
  SEER_ASSIGN_OR_RETURN(const double head_dim, Number(metadata, "head_dim"));
  SEER_ASSIGN_OR_RETURN(const double block, Number(metadata, "block_size"));
  SEER_ASSIGN_OR_RETURN(layer->rope_theta, Number(metadata, "rope_theta"));
  if (block != kBlockSize) {
    return absl::InvalidArgumentError("header: block_size is not 64");
  }
  layer->shape.num_query_heads = static_cast<int32_t>(query_heads);
  layer->shape.num_kv_heads = static_cast<int32_t>(kv_heads);
  layer->shape.head_dim = static_cast<int32_t>(head_dim);
  layer->tokens.len = layer->tokens.prompt_len = static_cast<int32_t>(len);
  const auto design = metadata.find("design");
  if (design == metadata.end()) {
    return absl::InvalidArgumentError("header: no design");
  }
  SEER_RETURN_IF_ERROR(ParseDesign(design->second, &layer->gate));

  layer->scalings["default"] = RopeScaling();
  const std::map<std::string, RopeScaling::Type> types = {
      {"linear", RopeScaling::Type::kLinear},
      {"llama3", RopeScaling::Type::kLlama3},
      {"yarn", RopeScaling::Type::kYarn}};
  for (const auto& [name, type] : types) {
    const auto it = metadata.find(name);
    if (it == metadata.end()) continue;
    SEER_ASSIGN_OR_RETURN(layer->scalings[name],
                          ParseScaling(type, it->second));
  }
  return absl::OkStatus();
}

template <typename T>
std::vector<T> Elements(const SafetensorsTensor& tensor) {
  std::vector<T> elements(tensor.bytes.size() / sizeof(T));
  if (!elements.empty()) {
    std::memcpy(elements.data(), tensor.bytes.data(),
                elements.size() * sizeof(T));
  }
  return elements;
}

// Moves the tensor out, if it has the size wanted.
absl::Status Take(const std::string& name, int64_t size, GoldenLayer* layer,
                  std::vector<float>* out) {
  const auto it = layer->floats.find(name);
  if (it == layer->floats.end() ||
      static_cast<int64_t>(it->second.size()) != size) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": missing, or not ", size, " elements"));
  }
  *out = std::move(it->second);
  layer->floats.erase(it);
  return absl::OkStatus();
}

absl::Status TakeInputs(GoldenLayer* layer) {
  const HeadShape& shape = layer->shape;
  const int64_t width = int64_t{layer->tokens.len} * shape.head_dim;
  SEER_RETURN_IF_ERROR(
      Take("q", width * shape.num_query_heads, layer, &layer->tokens.queries));
  SEER_RETURN_IF_ERROR(
      Take("k", width * shape.num_kv_heads, layer, &layer->tokens.keys));
  SEER_RETURN_IF_ERROR(
      Take("v", width * shape.num_kv_heads, layer, &layer->tokens.values));
  if (layer->floats.count("mask_linear_k") == 0) return absl::OkStatus();
  GateWeights& gate = layer->gate;
  const int64_t square = int64_t{shape.head_dim} * shape.head_dim;
  const bool is_double = layer->floats.count("mask_linear_q") != 0;
  if (is_double) {
    SEER_RETURN_IF_ERROR(
        Take("mask_linear_q",
             shape.num_query_heads * gate.query_pools.size() * square, layer,
             &gate.linear_q));
  }
  return Take("mask_linear_k",
              (is_double ? shape.num_kv_heads : shape.num_query_heads) *
                  gate.key_pools.size() * square,
              layer, &gate.linear_k);
}

}  // namespace

RopeConfig GoldenLayer::Rope(const std::string& scaling) const {
  RopeConfig config;
  config.theta = rope_theta;
  config.head_dim = shape.head_dim;
  config.scaling = scalings.at(scaling);
  return config;
}

const std::vector<float>* GoldenLayer::Floats(const std::string& tensor) const {
  const auto it = floats.find(tensor);
  return it == floats.end() ? nullptr : &it->second;
}

const std::vector<uint8_t>* GoldenLayer::Mask(const std::string& tensor) const {
  const auto it = masks.find(tensor);
  return it == masks.end() ? nullptr : &it->second;
}

absl::StatusOr<GoldenLayer> LoadGoldenLayer(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const SafetensorsFile file,
                        SafetensorsFile::Open(path));
  GoldenLayer layer;
  layer.name = std::filesystem::path(path).stem().string();
  SEER_RETURN_IF_ERROR(ParseHeader(file.metadata(), &layer));
  const int64_t n = layer.num_tiles();
  for (const auto& [name, tensor] : file.tensors()) {
    if (tensor.dtype == SafetensorsDtype::kF32) {
      layer.floats[name] = Elements<float>(tensor);
    } else if (tensor.dtype == SafetensorsDtype::kI32 && name == "rows") {
      layer.rows = Elements<int32_t>(tensor);
    } else if (tensor.dtype == SafetensorsDtype::kU8) {
      layer.masks[name] = Elements<uint8_t>(tensor);
      if (static_cast<int64_t>(layer.masks[name].size()) !=
          layer.shape.num_query_heads * n * n) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ": not [Hq, n, n]"));
      }
    } else {
      return absl::InvalidArgumentError(absl::StrCat(name, ": its dtype"));
    }
  }
  for (const int32_t row : layer.rows) {
    if (row < 0 || row >= layer.tokens.len) {
      return absl::InvalidArgumentError("rows: out of range");
    }
  }
  SEER_RETURN_IF_ERROR(TakeInputs(&layer));
  return layer;
}

}  // namespace seer
