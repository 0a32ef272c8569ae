// Text of a growing list of tokens, piece by piece.
#ifndef SEER_ENGINE_TOKENIZER_INCREMENTAL_DECODER_H_
#define SEER_ENGINE_TOKENIZER_INCREMENTAL_DECODER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/token.h"
#include "engine/tokenizer/tokenizer.h"

namespace seer {

// One output stream. The pieces that Push and Flush return join to exactly
// Tokenizer::Decode of all tokens, and each piece is valid UTF-8: bytes that
// may become a character are held back until they are one or cannot be.
// Not thread-safe.
class IncrementalDecoder {
 public:
  // `tokenizer` must outlive the decoder. Special tokens add no text where
  // `skip_special`.
  IncrementalDecoder(const Tokenizer* tokenizer, bool skip_special);

  // The text that `token` completes; may be empty. An id that is no token adds
  // nothing.
  std::string Push(TokenId token);

  // The end: what is held back can become no character and is U+FFFD now.
  // The decoder is then as new.
  std::string Flush();

  // Bytes held back, at most 3.
  absl::string_view held() const { return held_; }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string held_;  // a proper prefix of a UTF-8 character
};

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_INCREMENTAL_DECODER_H_
