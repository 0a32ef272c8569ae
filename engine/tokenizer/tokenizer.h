// Text to token ids and back, as a Hugging Face folder describes it.
#ifndef SEER_ENGINE_TOKENIZER_TOKENIZER_H_
#define SEER_ENGINE_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/token.h"

namespace seer {

struct EncodeOptions {
  // Text that spells a special token becomes that token. Off, such text is
  // text: what a message says can never act as a control token. Added tokens
  // that are not special are recognised either way.
  bool parse_special = false;

  // Add what the tokenizer's post-processor adds around a text (Llama 3:
  // begin-of-text in front; SmolLM2: nothing).
  bool add_special = false;
};

// The texts of the files a tokenizer is read from; empty: there is none.
struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string chat_template_jinja;
  std::string generation_config_json;
};

// A byte-level BPE tokenizer. Immutable after loading, so thread-safe.
//
//   SEER_ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::Load("/models/smollm2"));
//   SEER_ASSIGN_OR_RETURN(auto ids, tokenizer->Encode("Hello", {}));
//
// Supported of Hugging Face's tokenizer.json: model BPE without dropout, byte
// fallback or affixes; pre-tokenizers ByteLevel, Digits, Split and Sequences of
// them; no normalizer; post-processors ByteLevel, TemplateProcessing and
// Sequences of them; decoder ByteLevel. Anything else is refused at load.
class Tokenizer {
 public:
  // Reads tokenizer.json and, where they exist, tokenizer_config.json (chat
  // template, bos and eos), chat_template.jinja (which then is the template)
  // and generation_config.json (eos).
  // NOT_FOUND: no tokenizer.json. INVALID_ARGUMENT: a file that is no valid
  // tokenizer, with the part named. UNIMPLEMENTED: a part outside the list
  // above, named.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(
      const std::string& folder);

  // The same from the files' texts.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Parse(
      const TokenizerFiles& files);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Time is O(n log n) in the bytes of `text`, whatever they are. A byte for
  // which the vocabulary has no token is dropped, as Hugging Face's does.
  // INVALID_ARGUMENT: `text` is not valid UTF-8 (the offset is in the message),
  // or over 1 GiB.
  absl::StatusOr<std::vector<TokenId>> Encode(
      absl::string_view text, const EncodeOptions& options) const;

  // Valid UTF-8: bytes that form no character become U+FFFD, as many as
  // Unicode's recommended practice (maximal subparts) gives. Special tokens
  // are left out where `skip_special`.
  // INVALID_ARGUMENT: an id outside [0, vocab_size()) or in a gap of it.
  absl::StatusOr<std::string> Decode(absl::Span<const TokenId> ids,
                                     bool skip_special) const;

  // The bytes that `id` adds to a decoded text; maybe part of a character.
  // Empty where Contains(id) is false.
  absl::string_view TokenBytes(TokenId id) const;

  // Whether `id` is a token. Vocabularies may have gaps, and a model's logits
  // may be wider than its tokenizer.
  bool Contains(TokenId id) const;

  // Whether `id` is a special (control) token. False for ids not contained.
  bool IsSpecial(TokenId id) const;

  // The id whose token spells exactly `token`: an added token by its text, any
  // other in byte-level notation as in tokenizer.json.
  std::optional<TokenId> TokenToId(absl::string_view token) const;

  // One more than the largest id.
  int32_t vocab_size() const;

  // Begin-of-text, if tokenizer_config.json names one. Whether Encode adds it
  // is the post-processor's matter.
  std::optional<TokenId> bos() const;

  // The ids that end a generation, ascending: eos of tokenizer_config.json and
  // generation_config.json, and the end-of-turn token of the chat template
  // (<|im_end|> or <|eot_id|>) where the template names it.
  absl::Span<const TokenId> end_tokens() const;

  // tokenizer_config.json's chat_template (of a list, the one named "default");
  // empty where there is none.
  absl::string_view chat_template() const;

 private:
  struct Parts;  // what the files hold, ready to use
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  const std::unique_ptr<const Parts> parts_;
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_TOKENIZER_H_
