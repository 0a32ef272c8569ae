// tokenizer.json, read and checked.
#ifndef SEER_ENGINE_TOKENIZER_BPE_TOKENIZER_JSON_H_
#define SEER_ENGINE_TOKENIZER_BPE_TOKENIZER_JSON_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/token.h"
#include "engine/tokenizer/bpe/added_tokens.h"
#include "engine/tokenizer/bpe/byte_pair_encoder.h"
#include "engine/tokenizer/bpe/pre_tokenizer.h"

namespace seer {

// What the file says, with every id, merge and reference known to exist.
struct TokenizerJson {
  // By the token as written: byte-level notation.
  absl::flat_hash_map<std::string, TokenId> vocab;
  std::vector<Merge> merges;  // by rank
  ByteTokens byte_tokens;
  // A word that is a token is that token, whatever the merges make of it.
  bool ignore_merges = false;
  std::vector<AddedToken> added_tokens;
  std::vector<SplitStep> split_steps;
  // What the post-processor puts around a text.
  std::vector<TokenId> prefix;
  std::vector<TokenId> suffix;
};

// Largest id of a token: keeps tables by id small whatever a file says.
constexpr TokenId kMaxTokenId = (1 << 22) - 1;

// `truncation` and `padding` are ignored, as transformers does.
// INVALID_ARGUMENT: no such file's form; the place is named. UNIMPLEMENTED: a
// part that Tokenizer does not support; the place is named.
absl::StatusOr<TokenizerJson> ParseTokenizerJson(absl::string_view text);

// INVALID_ARGUMENT: plain text could become a special token, by a merge or as a
// byte.
absl::Status CheckSpecialTokens(const TokenizerJson& tokenizer);

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_TOKENIZER_JSON_H_
