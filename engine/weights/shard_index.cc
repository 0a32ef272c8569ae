#include "engine/weights/shard_index.h"

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

bool IsPlainShardName(absl::string_view name) {
  return absl::EndsWith(name, ".safetensors") && name[0] != '.' &&
         !absl::StrContains(name, '/') && !absl::StrContains(name, '\0');
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseShardIndex(
    absl::string_view text) {
  SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
                        ParseJson(text, "model.safetensors.index.json"));
  const JsonView root(&json, "model.safetensors.index.json");
  const JsonView weight_map = root["weight_map"];
  SEER_RETURN_IF_ERROR(weight_map.CheckObject());
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file_json] : weight_map.value()->items()) {
    const JsonView file = weight_map[tensor];
    SEER_ASSIGN_OR_RETURN(const std::string name, file.String());
    if (!IsPlainShardName(name)) {
      return file.Error(absl::StrCat(
          "want a .safetensors file in the same folder, got ", file.Excerpt()));
    }
    files[tensor] = name;
  }
  if (files.empty()) return weight_map.Error("is empty");
  return files;
}

}  // namespace seer
