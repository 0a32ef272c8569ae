#include "engine/tokenizer/special_roles.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

// A token by its text, or as an object that holds the text.
absl::StatusOr<std::optional<std::string>> ParseToken(const JsonView& json) {
  if (json.IsNull()) return std::optional<std::string>();
  SEER_ASSIGN_OR_RETURN(std::string token, json.IsObject()
                                               ? json["content"].String()
                                               : json.String());
  if (token.empty()) return json.Error("is empty");
  return std::make_optional(std::move(token));
}

absl::StatusOr<std::string> ParseChatTemplate(const JsonView& json) {
  if (json.IsNull()) return std::string();
  if (!json.IsArray()) return json.String();
  SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> templates, json.Array());
  for (const JsonView& candidate : templates) {
    SEER_ASSIGN_OR_RETURN(const std::string name, candidate["name"].String());
    if (name == "default") return candidate["template"].String();
  }
  return std::string();
}

}  // namespace

absl::StatusOr<SpecialRoles> ParseTokenizerConfig(absl::string_view text) {
  SpecialRoles roles;
  if (text.empty()) return roles;
  SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
                        ParseJson(text, "tokenizer_config.json"));
  const JsonView root(&json, "tokenizer_config.json");
  SEER_RETURN_IF_ERROR(root.CheckObject());
  SEER_ASSIGN_OR_RETURN(roles.bos_token, ParseToken(root["bos_token"]));
  SEER_ASSIGN_OR_RETURN(roles.eos_token, ParseToken(root["eos_token"]));
  SEER_ASSIGN_OR_RETURN(roles.chat_template,
                        ParseChatTemplate(root["chat_template"]));
  return roles;
}

absl::StatusOr<std::vector<TokenId>> ParseGenerationEos(
    absl::string_view text) {
  std::vector<TokenId> ids;
  if (text.empty()) return ids;
  SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
                        ParseJson(text, "generation_config.json"));
  const JsonView root(&json, "generation_config.json");
  SEER_RETURN_IF_ERROR(root.CheckObject());
  const JsonView eos = root["eos_token_id"];
  if (eos.IsNull()) return ids;
  std::vector<JsonView> elements = {eos};
  if (eos.IsArray()) {
    SEER_ASSIGN_OR_RETURN(elements, eos.Array());
  }
  for (const JsonView& element : elements) {
    SEER_ASSIGN_OR_RETURN(const int64_t id, element.Int64());
    if (id < 0 || id > std::numeric_limits<TokenId>::max()) {
      return element.Error(absl::StrCat(id, " is no token id"));
    }
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

}  // namespace seer
