#include "engine/weights/rope_json.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

using Type = RopeScaling::Type;

// transformers' default.
constexpr double kDefaultTheta = 10000.0;

// The type's name: "rope_type", or "type" in older files.
absl::StatusOr<Type> ParseType(const JsonView& json) {
  const JsonView new_key = json["rope_type"];
  const JsonView old_key = json["type"];
  const JsonView& key = new_key.IsNull() ? old_key : new_key;
  SEER_ASSIGN_OR_RETURN(const std::string name, key.String());
  if (!new_key.IsNull() && !old_key.IsNull() &&
      *new_key.value() != *old_key.value()) {
    return json.Error("rope_type and type differ");
  }
  if (name == "default") return Type::kDefault;
  if (name == "linear") return Type::kLinear;
  if (name == "llama3") return Type::kLlama3;
  if (name == "yarn") return Type::kYarn;
  return key.Unsupported(
      absl::StrCat("rope type ", key.Excerpt(), " is not supported"));
}

// A number > 0 (or >= `min`), or `value` as it is where the key is missing.
absl::Status ReadNumber(const JsonView& json, double min, double* value) {
  if (json.IsNull()) return absl::OkStatus();
  SEER_ASSIGN_OR_RETURN(*value, json.Number());
  if (*value >= min && *value > 0.0) return absl::OkStatus();
  return json.Error(absl::StrCat("want ",
                                 min > 0.0 ? "at least " : "more than ", min,
                                 ", got ", json.Excerpt()));
}

absl::Status ReadFactor(const JsonView& json, double* factor) {
  if (json.IsNull()) return json.Error("missing");
  return ReadNumber(json, 1.0, factor);
}

absl::Status ReadOriginalLength(const JsonView& json, int64_t* length) {
  SEER_ASSIGN_OR_RETURN(*length, json.Int64());
  if (*length >= 1) return absl::OkStatus();
  return json.Error(absl::StrCat("want at least 1, got ", *length));
}

// A misspelt parameter must not be taken for a missing one.
absl::Status CheckKeys(const JsonView& json,
                       const std::vector<absl::string_view>& known) {
  for (const auto& [key, value] : json.value()->items()) {
    if (absl::c_linear_search(known, key) || value.is_null()) continue;
    return json.Error(absl::StrCat("unknown key \"", key, "\" for its type"));
  }
  return absl::OkStatus();
}

absl::Status ReadLlama3(const JsonView& json, RopeScaling* scaling) {
  SEER_RETURN_IF_ERROR(CheckKeys(
      json, {"rope_type", "type", "rope_theta", "factor", "low_freq_factor",
             "high_freq_factor", "original_max_position_embeddings"}));
  SEER_RETURN_IF_ERROR(ReadFactor(json["factor"], &scaling->factor));
  for (const char* key : {"low_freq_factor", "high_freq_factor"}) {
    if (json[key].IsNull()) return json[key].Error("missing");
  }
  SEER_RETURN_IF_ERROR(
      ReadNumber(json["low_freq_factor"], 0.0, &scaling->low_freq_factor));
  SEER_RETURN_IF_ERROR(
      ReadNumber(json["high_freq_factor"], 0.0, &scaling->high_freq_factor));
  if (scaling->high_freq_factor <= scaling->low_freq_factor) {
    return json["high_freq_factor"].Error("must exceed low_freq_factor");
  }
  return ReadOriginalLength(json["original_max_position_embeddings"],
                            &scaling->original_max_position_embeddings);
}

absl::Status ReadYarn(const JsonView& json, int64_t context_len,
                      RopeScaling* scaling) {
  SEER_RETURN_IF_ERROR(CheckKeys(
      json,
      {"rope_type", "type", "rope_theta", "factor", "beta_fast", "beta_slow",
       "attention_factor", "finetuned", "original_max_position_embeddings"}));
  SEER_RETURN_IF_ERROR(ReadFactor(json["factor"], &scaling->factor));
  SEER_RETURN_IF_ERROR(ReadNumber(json["beta_fast"], 0.0, &scaling->beta_fast));
  SEER_RETURN_IF_ERROR(ReadNumber(json["beta_slow"], 0.0, &scaling->beta_slow));
  if (scaling->beta_fast < scaling->beta_slow) {
    return json["beta_fast"].Error("must not be below beta_slow");
  }
  SEER_RETURN_IF_ERROR(
      ReadNumber(json["attention_factor"], 0.0, &scaling->attention_factor));
  const JsonView original = json["original_max_position_embeddings"];
  scaling->original_max_position_embeddings = context_len;
  if (original.IsNull()) return absl::OkStatus();
  return ReadOriginalLength(original,
                            &scaling->original_max_position_embeddings);
}

absl::StatusOr<RopeScaling> ParseScaling(const JsonView& json,
                                         int64_t context_len) {
  SEER_RETURN_IF_ERROR(json.CheckObject());
  RopeScaling scaling;
  SEER_ASSIGN_OR_RETURN(scaling.type, ParseType(json));
  switch (scaling.type) {
    case Type::kDefault:
      SEER_RETURN_IF_ERROR(
          CheckKeys(json, {"rope_type", "type", "rope_theta", "factor"}));
      break;
    case Type::kLinear:
      SEER_RETURN_IF_ERROR(
          CheckKeys(json, {"rope_type", "type", "rope_theta", "factor"}));
      SEER_RETURN_IF_ERROR(ReadFactor(json["factor"], &scaling.factor));
      break;
    case Type::kLlama3:
      SEER_RETURN_IF_ERROR(ReadLlama3(json, &scaling));
      break;
    case Type::kYarn:
      SEER_RETURN_IF_ERROR(ReadYarn(json, context_len, &scaling));
      break;
  }
  return scaling;
}

absl::StatusOr<double> ParseTheta(const JsonView& json) {
  SEER_ASSIGN_OR_RETURN(const double theta, json.Number());
  if (theta > 1.0) return theta;
  return json.Error(absl::StrCat("want more than 1, got ", json.Excerpt()));
}

}  // namespace

absl::StatusOr<RopeConfig> ParseRope(const JsonView& config, int32_t head_dim,
                                     int64_t context_len) {
  const JsonView parameters = config["rope_parameters"];
  const JsonView scaling = config["rope_scaling"];
  RopeConfig rope;
  rope.head_dim = head_dim;
  rope.theta = kDefaultTheta;
  const JsonView outer_theta = config["rope_theta"];
  const JsonView inner_theta = parameters["rope_theta"];
  if (!outer_theta.IsNull()) {
    SEER_ASSIGN_OR_RETURN(rope.theta, ParseTheta(outer_theta));
  }
  if (!inner_theta.IsNull()) {
    SEER_ASSIGN_OR_RETURN(const double theta, ParseTheta(inner_theta));
    if (!outer_theta.IsNull() && theta != rope.theta) {
      return inner_theta.Error("differs from the outer rope_theta");
    }
    rope.theta = theta;
  }
  if (!parameters.IsNull() && !scaling.IsNull()) {
    return scaling.Error("given beside rope_parameters");
  }
  const JsonView& chosen = parameters.IsNull() ? scaling : parameters;
  if (chosen.IsNull()) return rope;
  SEER_ASSIGN_OR_RETURN(rope.scaling, ParseScaling(chosen, context_len));
  return rope;
}

}  // namespace seer
