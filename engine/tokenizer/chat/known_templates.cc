#include "engine/tokenizer/chat/known_templates.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "engine/tokenizer/chat/jinja_tokens.h"

namespace seer {
namespace {

struct Known {
  ChatFormat format;
  absl::string_view digest;
};

constexpr Known kKnown[] = {
    // ChatML with a default system message: SmolLM2, Qwen2.
    {ChatFormat::kChatMl,
     "e5db7d5908c4e3695c096667b187577f0f3753d2794fa6d5efc64fcf4b686a07"},
    // ChatML as such.
    {ChatFormat::kChatMl,
     "1f9ef5c5a085606a2215bb5bb55f26ce85a8a37666098cf11abc56104426b340"},
    // Llama 3 Instruct.
    {ChatFormat::kLlama3,
     "ab4b9e3053526e21da2f20cc154f267674c4c9dd4d69766e11eef16c4aa4c64b"},
    // Llama 3.1 and 3.3 Instruct, then 3.2, which asks for today's date.
    {ChatFormat::kLlama31,
     "bd00f0c315e389eae18b11bef9fa80f83eb9c7eed91dda05aa5b2501ffb48a26"},
    {ChatFormat::kLlama31,
     "979d689b777355ee34f4ead474a7e2a48afdee5834b8945bd576017d16f9165a"},
};

constexpr absl::string_view kSystemBegin = "<|im_start|>system\n";
constexpr absl::string_view kSystemEnd = "<|im_end|>\n";

// Takes ChatML's default system message out of the string that holds it.
std::optional<std::string> TakeDefaultSystem(std::vector<JinjaToken>* tokens) {
  for (JinjaToken& token : *tokens) {
    if (token.kind != JinjaToken::Kind::kString) continue;
    absl::string_view text = token.text;
    if (!absl::ConsumePrefix(&text, kSystemBegin) ||
        !absl::ConsumeSuffix(&text, kSystemEnd)) {
      continue;
    }
    // A control token inside would be text to us and not to the template.
    if (absl::StrContains(text, "<|")) continue;
    std::string system(text);
    token.text = absl::StrCat(kSystemBegin, kSystemEnd);
    return system;
  }
  return std::nullopt;
}

std::string Digest(const std::vector<JinjaToken>& tokens) {
  std::string text;
  for (const JinjaToken& token : tokens) {
    absl::StrAppend(&text, static_cast<int>(token.kind), " ", token.text.size(),
                    " ", token.text, "\n");
  }
  return Sha256Hex(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

}  // namespace

absl::StatusOr<KnownTemplate> IdentifyTemplate(absl::string_view source) {
  const absl::Status unknown = absl::FailedPreconditionError(
      "the model's chat template is not one that this server knows");
  auto tokens = ReadJinjaTokens(source);
  if (!tokens.ok()) return unknown;
  KnownTemplate result;
  result.default_system = TakeDefaultSystem(&*tokens);
  const std::string digest = Digest(*tokens);
  for (const Known& known : kKnown) {
    if (known.digest != digest) continue;
    result.format = known.format;
    return result;
  }
  return unknown;
}

absl::StatusOr<std::string> TemplateDigest(absl::string_view source) {
  SEER_ASSIGN_OR_RETURN(std::vector<JinjaToken> tokens,
                        ReadJinjaTokens(source));
  TakeDefaultSystem(&tokens);
  return Digest(tokens);
}

}  // namespace seer
