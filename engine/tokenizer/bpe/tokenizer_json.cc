#include "engine/tokenizer/bpe/tokenizer_json.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "base/text/json_view.h"
#include "engine/tokenizer/bpe/byte_level.h"
#include "engine/tokenizer/bpe/pre_tokenizer_json.h"
#include "nlohmann/json.hpp"

namespace seer {
namespace {

absl::StatusOr<TokenId> CheckId(const JsonView& json) {
  SEER_ASSIGN_OR_RETURN(const int64_t id, json.Int64());
  if (id < 0 || id > kMaxTokenId) {
    return json.Error(absl::StrCat(id, " is not in [0, ", kMaxTokenId, "]"));
  }
  return static_cast<TokenId>(id);
}

absl::Status ParseVocab(const JsonView& json, TokenizerJson* tokenizer) {
  SEER_RETURN_IF_ERROR(json.CheckObject());
  absl::flat_hash_set<TokenId> ids;
  tokenizer->vocab.reserve(json.value()->size());
  for (const auto& [token, id_json] : json.value()->items()) {
    SEER_ASSIGN_OR_RETURN(
        const TokenId id,
        CheckId(JsonView(&id_json, absl::StrCat(json.path(), ".", token))));
    if (!ids.insert(id).second) {
      return json.Error(absl::StrCat("two tokens have id ", id));
    }
    tokenizer->vocab[token] = id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto it =
        tokenizer->vocab.find(ToByteLevel(absl::string_view(&c, 1)));
    tokenizer->byte_tokens[byte] =
        it == tokenizer->vocab.end() ? kNoToken : it->second;
  }
  return absl::OkStatus();
}

// The halves of a merge: "left right", or a list of the two.
absl::StatusOr<std::pair<std::string, std::string>> MergeHalves(
    const JsonView& json) {
  std::pair<std::string, std::string> halves;
  if (json.IsArray()) {
    SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> parts, json.Array());
    if (parts.size() != 2) return json.Error("a merge is of two tokens");
    SEER_ASSIGN_OR_RETURN(halves.first, parts[0].String());
    SEER_ASSIGN_OR_RETURN(halves.second, parts[1].String());
    return halves;
  }
  SEER_ASSIGN_OR_RETURN(const std::string text, json.String());
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != text.npos) {
    return json.Error("a merge is two tokens with a space between them");
  }
  halves.first = text.substr(0, space);
  halves.second = text.substr(space + 1);
  return halves;
}

absl::Status ParseMerges(const JsonView& json, TokenizerJson* tokenizer) {
  if (!json.IsArray()) return json.Error("want an array");
  const auto find = [&](const std::string& token) {
    const auto it = tokenizer->vocab.find(token);
    return it == tokenizer->vocab.end() ? kNoToken : it->second;
  };
  tokenizer->merges.reserve(json.value()->size());
  for (const nlohmann::json& merge_json : *json.value()) {
    const JsonView view(
        &merge_json,
        absl::StrCat(json.path(), "[", tokenizer->merges.size(), "]"));
    SEER_ASSIGN_OR_RETURN(const auto halves, MergeHalves(view));
    const Merge merge = {find(halves.first), find(halves.second),
                         find(halves.first + halves.second)};
    if (merge.left == kNoToken || merge.right == kNoToken ||
        merge.result == kNoToken) {
      return view.Error(
          absl::StrCat("not in the vocabulary: ", view.Excerpt()));
    }
    tokenizer->merges.push_back(merge);
  }
  return absl::OkStatus();
}

// A key whose only supported values are null, false, 0 and "".
absl::Status CheckOff(const JsonView& json) {
  if (json.IsNull()) return absl::OkStatus();
  const nlohmann::json& value = *json.value();
  if (value == false || value == 0 || value == "") return absl::OkStatus();
  return json.Unsupported(absl::StrCat(json.Excerpt(), " is not supported"));
}

absl::Status ParseModel(const JsonView& json, TokenizerJson* tokenizer) {
  SEER_ASSIGN_OR_RETURN(const std::string type, json["type"].String());
  if (type != "BPE") {
    return json["type"].Unsupported(
        absl::StrCat("model ", type, " is not supported, only BPE"));
  }
  for (const char* key : {"dropout", "continuing_subword_prefix",
                          "end_of_word_suffix", "byte_fallback"}) {
    SEER_RETURN_IF_ERROR(CheckOff(json[key]));
  }
  if (!json["ignore_merges"].IsNull()) {
    SEER_ASSIGN_OR_RETURN(tokenizer->ignore_merges,
                          json["ignore_merges"].Bool());
  }
  SEER_RETURN_IF_ERROR(ParseVocab(json["vocab"], tokenizer));
  if (!json["unk_token"].IsNull()) {
    for (const TokenId token : tokenizer->byte_tokens) {
      if (token != kNoToken) continue;
      return json["unk_token"].Unsupported(
          "a token for unknown bytes is not supported");
    }
  }
  return ParseMerges(json["merges"], tokenizer);
}

absl::StatusOr<AddedToken> ParseAddedToken(const JsonView& json) {
  AddedToken token;
  SEER_ASSIGN_OR_RETURN(token.id, CheckId(json["id"]));
  SEER_ASSIGN_OR_RETURN(token.content, json["content"].String());
  if (token.content.empty()) return json["content"].Error("is empty");
  bool single_word = false;
  const std::pair<const char*, bool*> flags[] = {
      {"special", &token.special},   {"lstrip", &token.lstrip},
      {"rstrip", &token.rstrip},     {"normalized", &token.normalized},
      {"single_word", &single_word},
  };
  for (const auto& [key, flag] : flags) {
    SEER_ASSIGN_OR_RETURN(*flag, json[key].Bool());
  }
  if (single_word) {
    return json["single_word"].Unsupported("true is not supported");
  }
  return token;
}

absl::Status ParseAddedTokens(const JsonView& json, TokenizerJson* tokenizer) {
  if (json.IsNull()) return absl::OkStatus();
  absl::flat_hash_map<TokenId, std::string> by_id;
  for (const auto& [token, id] : tokenizer->vocab) by_id[id] = token;
  absl::flat_hash_set<std::string> contents;
  SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> elements, json.Array());
  for (const JsonView& element : elements) {
    SEER_ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(element));
    const auto in_vocab = tokenizer->vocab.find(token.content);
    if (in_vocab != tokenizer->vocab.end() && in_vocab->second != token.id) {
      return element.Error(absl::StrCat("the vocabulary gives this token id ",
                                        in_vocab->second));
    }
    const bool is_new = contents.insert(token.content).second;
    const auto [owner, id_is_new] = by_id.try_emplace(token.id, token.content);
    if (!is_new || (!id_is_new && owner->second != token.content)) {
      return element.Error(absl::StrCat(
          "its id ", token.id, " or its content is another token's too"));
    }
    tokenizer->added_tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

// The ids of one special token in a TemplateProcessing.
absl::Status AppendTemplateIds(const JsonView& template_json,
                               const JsonView& piece,
                               std::vector<TokenId>* ids) {
  SEER_ASSIGN_OR_RETURN(const std::string name,
                        piece["SpecialToken"]["id"].String());
  SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> elements,
                        template_json["special_tokens"][name]["ids"].Array());
  for (const JsonView& element : elements) {
    SEER_ASSIGN_OR_RETURN(const TokenId id, CheckId(element));
    ids->push_back(id);
  }
  return absl::OkStatus();
}

absl::Status ParseTemplate(const JsonView& json, TokenizerJson* tokenizer) {
  SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> pieces,
                        json["single"].Array());
  bool text_seen = false;
  for (const JsonView& piece : pieces) {
    if (!piece["Sequence"].IsNull()) {
      if (text_seen) return piece.Unsupported("the text twice");
      text_seen = true;
      continue;
    }
    SEER_RETURN_IF_ERROR(AppendTemplateIds(
        json, piece, text_seen ? &tokenizer->suffix : &tokenizer->prefix));
  }
  if (!text_seen) return json["single"].Error("the text is not in it");
  return absl::OkStatus();
}

absl::Status ParsePostProcessor(const JsonView& json, bool in_sequence,
                                TokenizerJson* tokenizer) {
  if (json.IsNull()) return absl::OkStatus();
  SEER_ASSIGN_OR_RETURN(const std::string type, json["type"].String());
  if (type == "ByteLevel") return absl::OkStatus();  // only moves offsets
  if (type == "TemplateProcessing") {
    if (!tokenizer->prefix.empty() || !tokenizer->suffix.empty()) {
      return json.Unsupported("a second template");
    }
    return ParseTemplate(json, tokenizer);
  }
  if (type == "Sequence" && !in_sequence) {
    SEER_ASSIGN_OR_RETURN(const std::vector<JsonView> parts,
                          json["processors"].Array());
    for (const JsonView& part : parts) {
      SEER_RETURN_IF_ERROR(ParsePostProcessor(part, true, tokenizer));
    }
    return absl::OkStatus();
  }
  return json["type"].Unsupported(
      absl::StrCat("post-processor ", type, " is not supported"));
}

absl::Status CheckDecoder(const JsonView& json) {
  SEER_ASSIGN_OR_RETURN(const std::string type, json["type"].String());
  if (type == "ByteLevel") return absl::OkStatus();
  return json["type"].Unsupported(
      absl::StrCat("decoder ", type, " is not supported, only ByteLevel"));
}

// Every id that the post-processor adds must be a token.
absl::Status CheckTemplateIds(const JsonView& json,
                              const TokenizerJson& tokenizer) {
  absl::flat_hash_set<TokenId> known;
  for (const auto& [token, id] : tokenizer.vocab) known.insert(id);
  for (const AddedToken& token : tokenizer.added_tokens) known.insert(token.id);
  for (const auto* ids : {&tokenizer.prefix, &tokenizer.suffix}) {
    for (const TokenId id : *ids) {
      if (known.contains(id)) continue;
      return json.Error(absl::StrCat("no token has id ", id));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerJson> ParseTokenizerJson(absl::string_view text) {
  SEER_ASSIGN_OR_RETURN(const nlohmann::json json,
                        ParseJson(text, "tokenizer.json"));
  const JsonView root(&json, "tokenizer.json");
  SEER_RETURN_IF_ERROR(root.CheckObject());
  TokenizerJson tokenizer;
  if (!root["normalizer"].IsNull()) {
    return root["normalizer"].Unsupported("normalizers are not supported");
  }
  SEER_RETURN_IF_ERROR(root["model"].CheckObject());
  SEER_RETURN_IF_ERROR(ParseModel(root["model"], &tokenizer));
  SEER_RETURN_IF_ERROR(ParseAddedTokens(root["added_tokens"], &tokenizer));
  SEER_ASSIGN_OR_RETURN(tokenizer.split_steps,
                        ParsePreTokenizer(root["pre_tokenizer"]));
  SEER_RETURN_IF_ERROR(
      ParsePostProcessor(root["post_processor"], false, &tokenizer));
  SEER_RETURN_IF_ERROR(CheckDecoder(root["decoder"]));
  SEER_RETURN_IF_ERROR(CheckTemplateIds(root["post_processor"], tokenizer));
  return tokenizer;
}

absl::Status CheckSpecialTokens(const TokenizerJson& tokenizer) {
  absl::flat_hash_set<TokenId> special;
  for (const AddedToken& token : tokenizer.added_tokens) {
    if (token.special) special.insert(token.id);
  }
  for (const Merge& merge : tokenizer.merges) {
    if (!special.contains(merge.result)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "tokenizer.json: a merge makes special token ", merge.result));
  }
  for (const TokenId token : tokenizer.byte_tokens) {
    if (!special.contains(token)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer.json: a byte is special token ", token));
  }
  return absl::OkStatus();
}

}  // namespace seer
