#include "engine/tokenizer/tokenizer.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "base/status_macros.h"
#include "base/text/utf8.h"
#include "engine/tokenizer/bpe/added_tokens.h"
#include "engine/tokenizer/bpe/byte_level.h"
#include "engine/tokenizer/bpe/byte_pair_encoder.h"
#include "engine/tokenizer/bpe/pre_tokenizer.h"
#include "engine/tokenizer/bpe/tokenizer_json.h"
#include "engine/tokenizer/special_roles.h"

namespace seer {
namespace {

// One entry of the vocabulary, by id.
struct TokenEntry {
  std::string bytes;
  bool exists = false;
  bool special = false;
};

// The file's content; empty where there is no such file.
absl::StatusOr<std::string> ReadFile(const std::string& folder,
                                     absl::string_view name) {
  auto file = MappedFile::Open(absl::StrCat(folder, "/", name));
  if (absl::IsNotFound(file.status())) return std::string();
  if (!file.ok()) return file.status();
  const absl::Span<const uint8_t> bytes = file->bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Tokens that the configs give a role but tokenizer.json does not list as
// added are special tokens nevertheless.
void AddRoleToken(const std::optional<std::string>& role, TokenizerJson* json) {
  if (!role) return;
  const auto it = json->vocab.find(*role);
  if (it == json->vocab.end()) return;
  for (AddedToken& token : json->added_tokens) {
    if (token.content == *role) {
      token.special = true;
      return;
    }
  }
  AddedToken token;
  token.id = it->second;
  token.content = *role;
  token.special = true;
  json->added_tokens.push_back(std::move(token));
}

std::vector<TokenEntry> MakeEntries(const TokenizerJson& json) {
  std::vector<TokenEntry> entries;
  const auto entry = [&](TokenId id) -> TokenEntry& {
    if (static_cast<size_t>(id) >= entries.size()) entries.resize(id + 1);
    entries[id].exists = true;
    return entries[id];
  };
  for (const auto& [token, id] : json.vocab) {
    // A token that is not in byte-level notation can only be met as text.
    entry(id).bytes = FromByteLevel(token).value_or(token);
  }
  for (const AddedToken& token : json.added_tokens) {
    entry(token.id).bytes = token.content;
    entry(token.id).special = token.special;
  }
  return entries;
}

// Words that are one token without merging; never a special one.
absl::flat_hash_map<std::string, TokenId> MakeWholeWords(
    const TokenizerJson& json, const std::vector<TokenEntry>& entries) {
  absl::flat_hash_map<std::string, TokenId> words;
  if (!json.ignore_merges) return words;
  words.reserve(json.vocab.size());
  for (const auto& [token, id] : json.vocab) {
    if (entries[id].special) continue;
    if (auto bytes = FromByteLevel(token)) words[*std::move(bytes)] = id;
  }
  return words;
}

}  // namespace

struct Tokenizer::Parts {
  Parts(TokenizerJson json, PreTokenizer cutter)
      : entries(MakeEntries(json)),
        whole_words(MakeWholeWords(json, entries)),
        added_tokens(json.added_tokens),
        pre_tokenizer(std::move(cutter)),
        encoder(json.byte_tokens, json.merges),
        prefix(std::move(json.prefix)),
        suffix(std::move(json.suffix)),
        ids(std::move(json.vocab)) {
    for (const AddedToken& token : json.added_tokens) {
      ids[token.content] = token.id;
    }
  }

  // Appends the tokens of a text without added tokens.
  absl::Status EncodeText(absl::string_view text,
                          BytePairEncoder::Scratch* scratch,
                          std::vector<TokenId>* tokens) const {
    return pre_tokenizer.Split(text, [&](absl::string_view word) {
      const auto it = whole_words.find(word);
      if (it != whole_words.end()) {
        tokens->push_back(it->second);
      } else {
        encoder.Encode(word, scratch, tokens);
      }
    });
  }

  std::vector<TokenEntry> entries;  // by id
  absl::flat_hash_map<std::string, TokenId> whole_words;
  AddedTokens added_tokens;
  PreTokenizer pre_tokenizer;
  BytePairEncoder encoder;
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
  absl::flat_hash_map<std::string, TokenId> ids;  // by the token as written
  std::optional<TokenId> bos;
  std::vector<TokenId> end_tokens;
  std::string chat_template;
};

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts)
    : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(
    const std::string& folder) {
  TokenizerFiles files;
  const std::pair<const char*, std::string*> names[] = {
      {"tokenizer.json", &files.tokenizer_json},
      {"tokenizer_config.json", &files.tokenizer_config_json},
      {"chat_template.jinja", &files.chat_template_jinja},
      {"generation_config.json", &files.generation_config_json},
  };
  for (const auto& [name, text] : names) {
    SEER_ASSIGN_OR_RETURN(*text, ReadFile(folder, name));
  }
  struct stat folder_stat;
  if (stat(folder.c_str(), &folder_stat) != 0 ||
      !S_ISDIR(folder_stat.st_mode)) {
    return absl::NotFoundError(absl::StrCat("there is no folder ", folder));
  }
  if (files.tokenizer_json.empty()) {
    return absl::NotFoundError(
        absl::StrCat(folder, " has no tokenizer.json, or an empty one"));
  }
  return Parse(files);
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Parse(
    const TokenizerFiles& files) {
  SEER_ASSIGN_OR_RETURN(TokenizerJson json,
                        ParseTokenizerJson(files.tokenizer_json));
  SEER_ASSIGN_OR_RETURN(SpecialRoles roles,
                        ParseTokenizerConfig(files.tokenizer_config_json));
  SEER_ASSIGN_OR_RETURN(std::vector<TokenId> end_tokens,
                        ParseGenerationEos(files.generation_config_json));
  auto pre_tokenizer = PreTokenizer::Make(json.split_steps);
  if (!pre_tokenizer.ok()) {
    return absl::Status(pre_tokenizer.status().code(),
                        absl::StrCat("tokenizer.json: pre_tokenizer: ",
                                     pre_tokenizer.status().message()));
  }
  AddRoleToken(roles.bos_token, &json);
  AddRoleToken(roles.eos_token, &json);
  SEER_RETURN_IF_ERROR(CheckSpecialTokens(json));
  auto parts =
      std::make_unique<Parts>(std::move(json), *std::move(pre_tokenizer));
  const auto find = [&](absl::string_view token) -> std::optional<TokenId> {
    const auto it = parts->ids.find(token);
    if (it == parts->ids.end()) return std::nullopt;
    return it->second;
  };
  parts->chat_template = files.chat_template_jinja.empty()
                             ? std::move(roles.chat_template)
                             : files.chat_template_jinja;
  if (roles.bos_token) parts->bos = find(*roles.bos_token);
  if (roles.eos_token) {
    if (const auto eos = find(*roles.eos_token)) end_tokens.push_back(*eos);
  }
  for (const char* token : {"<|im_end|>", "<|eot_id|>"}) {
    if (!absl::StrContains(parts->chat_template, token)) continue;
    if (const auto id = find(token)) end_tokens.push_back(*id);
  }
  for (const TokenId id : end_tokens) {
    const auto size = static_cast<TokenId>(parts->entries.size());
    if (id >= size || !parts->entries[id].exists) {
      return absl::InvalidArgumentError(absl::StrCat(
          "generation_config.json: eos_token_id: no token has id ", id));
    }
  }
  std::sort(end_tokens.begin(), end_tokens.end());
  end_tokens.erase(std::unique(end_tokens.begin(), end_tokens.end()),
                   end_tokens.end());
  parts->end_tokens = std::move(end_tokens);
  return std::unique_ptr<const Tokenizer>(new Tokenizer(std::move(parts)));
}

absl::StatusOr<std::vector<TokenId>> Tokenizer::Encode(
    absl::string_view text, const EncodeOptions& options) const {
  if (text.size() > BytePairEncoder::kMaxWordBytes) {
    return absl::InvalidArgumentError("the text is over 1 GiB");
  }
  const size_t invalid = FirstInvalidUtf8(text);
  if (invalid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text is not valid UTF-8 at byte ", invalid));
  }
  std::vector<TokenId> tokens;
  if (options.add_special) tokens = parts_->prefix;
  BytePairEncoder::Scratch scratch;
  absl::Status status;
  parts_->added_tokens.Split(
      text, options.parse_special, [&](const TextPiece& piece) {
        if (piece.token) {
          tokens.push_back(*piece.token);
        } else if (status.ok()) {
          status = parts_->EncodeText(piece.text, &scratch, &tokens);
        }
      });
  SEER_RETURN_IF_ERROR(status);
  if (options.add_special) {
    tokens.insert(tokens.end(), parts_->suffix.begin(), parts_->suffix.end());
  }
  return tokens;
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const TokenId> ids,
                                              bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (!Contains(id)) {
      return absl::InvalidArgumentError(absl::StrCat("no token has id ", id));
    }
    if (skip_special && IsSpecial(id)) continue;
    absl::StrAppend(&bytes, TokenBytes(id));
  }
  std::string text;
  if (!AppendValidUtf8(bytes, &text).empty()) text += kReplacementCharacter;
  return text;
}

absl::string_view Tokenizer::TokenBytes(TokenId id) const {
  return Contains(id) ? absl::string_view(parts_->entries[id].bytes)
                      : absl::string_view();
}

bool Tokenizer::Contains(TokenId id) const {
  return id >= 0 && id < vocab_size() && parts_->entries[id].exists;
}

bool Tokenizer::IsSpecial(TokenId id) const {
  return Contains(id) && parts_->entries[id].special;
}

std::optional<TokenId> Tokenizer::TokenToId(absl::string_view token) const {
  const auto it = parts_->ids.find(token);
  if (it == parts_->ids.end()) return std::nullopt;
  return it->second;
}

int32_t Tokenizer::vocab_size() const {
  return static_cast<int32_t>(parts_->entries.size());
}

std::optional<TokenId> Tokenizer::bos() const { return parts_->bos; }

absl::Span<const TokenId> Tokenizer::end_tokens() const {
  return parts_->end_tokens;
}

absl::string_view Tokenizer::chat_template() const {
  return parts_->chat_template;
}

}  // namespace seer
