#include "engine/weights/fingerprint.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/hash/sha256.h"
#include "engine/weights/weight_values.h"
#include "kernels/dtype.h"

namespace seer {
namespace {

using Type = RopeScaling::Type;

std::string ScalingLine(const RopeScaling& scaling) {
  if (scaling.type == Type::kDefault) return "none";
  const double original =
      static_cast<double>(scaling.original_max_position_embeddings);
  std::string type = "linear";
  std::vector<std::pair<absl::string_view, double>> fields;  // by name
  if (scaling.type == Type::kLlama3) {
    type = "llama3";
    fields = {{"factor", scaling.factor},
              {"high_freq_factor", scaling.high_freq_factor},
              {"low_freq_factor", scaling.low_freq_factor},
              {"original_max_position_embeddings", original}};
  } else if (scaling.type == Type::kYarn) {
    type = "yarn";
    const double attention_factor = scaling.attention_factor > 0.0
                                        ? scaling.attention_factor
                                        : 0.1 * std::log(scaling.factor) + 1.0;
    fields = {{"attention_factor", attention_factor},
              {"beta_fast", scaling.beta_fast},
              {"beta_slow", scaling.beta_slow},
              {"factor", scaling.factor},
              {"original_max_position_embeddings", original}};
  } else {
    fields = {{"factor", scaling.factor}};
  }
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&type, ",", absl::StrFormat("%s:%.6g", name, value));
  }
  return type;
}

void AddText(absl::string_view text, Sha256* sha256) {
  sha256->Add(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                                  text.size()));
}

void AddValues(const Weight& weight, Sha256* sha256) {
  constexpr int64_t kBlock = 1 << 16;
  std::vector<BFloat16> block(std::min(kBlock, weight.num_values));
  for (int64_t begin = 0; begin < weight.num_values; begin += kBlock) {
    const int64_t size = std::min(kBlock, weight.num_values - begin);
    ReadBFloat16(weight, begin, absl::MakeSpan(block.data(), size));
    sha256->Add(
        absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(block.data()),
                            size * sizeof(BFloat16)));
  }
}

}  // namespace

std::string FingerprintConfigLines(const ModelConfig& config) {
  return absl::StrCat(
      "seer-fingerprint-v1\n",                               //
      "model_type=", config.model_type, "\n",                //
      "hidden_size=", config.hidden_size, "\n",              //
      "intermediate_size=", config.intermediate_size, "\n",  //
      "num_hidden_layers=", config.num_layers, "\n",         //
      "num_attention_heads=", config.num_query_heads, "\n",  //
      "num_key_value_heads=", config.num_kv_heads, "\n",     //
      "head_dim=", config.head_dim, "\n",                    //
      "vocab_size=", config.vocab_size, "\n",                //
      absl::StrFormat("rms_norm_eps=%.6g\n", config.rms_norm_eps),
      absl::StrFormat("rope_theta=%.6g\n", config.rope.theta),
      "rope_scaling=", ScalingLine(config.rope.scaling), "\n",
      "tie_word_embeddings=", config.tie_word_embeddings ? 1 : 0, "\n");
}

std::string Fingerprint(const ModelConfig& config, const WeightFiles& weights) {
  Sha256 sha256;
  AddText(FingerprintConfigLines(config), &sha256);
  for (const auto& [name, weight] : weights.weights()) {
    AddText(absl::StrCat(name, "\n", absl::StrJoin(weight.shape, "x"), "\n"),
            &sha256);
    AddValues(weight, &sha256);
  }
  return sha256.FinishHex();
}

}  // namespace seer
