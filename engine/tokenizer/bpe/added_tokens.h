// Tokens that are cut out of a text before anything else reads it.
#ifndef SEER_ENGINE_TOKENIZER_BPE_ADDED_TOKENS_H_
#define SEER_ENGINE_TOKENIZER_BPE_ADDED_TOKENS_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/text/byte_trie.h"
#include "engine/token.h"

namespace seer {

// As tokenizer.json has it; without single_word, which is refused there.
struct AddedToken {
  TokenId id = 0;
  std::string content;      // not empty
  bool special = false;     // a control token
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // and after it
  bool normalized = false;  // looked for after those that are not
};

// A part of a text: an added token, or text between them.
struct TextPiece {
  std::optional<TokenId> token;
  absl::string_view text;  // what it covers; not empty
};

// Finds added tokens: from the left, the longest at each place, those with
// `normalized` only in what the others leave. Immutable, thread-safe.
class AddedTokens {
 public:
  explicit AddedTokens(absl::Span<const AddedToken> tokens);

  // Calls `piece` for the pieces of `text` in order; together they cover it.
  // Special tokens are text where not `parse_special`.
  void Split(absl::string_view text, bool parse_special,
             absl::FunctionRef<void(const TextPiece&)> piece) const;

 private:
  // Tokens that are looked for together; values index tokens_.
  struct Group {
    ByteTrie trie;
    bool empty = true;
  };

  void SplitBy(const Group& group, absl::string_view text,
               absl::FunctionRef<void(const TextPiece&)> piece) const;

  std::vector<AddedToken> tokens_;
  // By parse_special, then normalized.
  std::array<std::array<Group, 2>, 2> groups_;
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_ADDED_TOKENS_H_
