#include "engine/tokenizer/incremental_decoder.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/text/utf8.h"

namespace seer {

IncrementalDecoder::IncrementalDecoder(const Tokenizer* tokenizer,
                                       bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string IncrementalDecoder::Push(TokenId token) {
  if (skip_special_ && tokenizer_->IsSpecial(token)) return "";
  const std::string bytes = absl::StrCat(held_, tokenizer_->TokenBytes(token));
  std::string text;
  held_ = std::string(AppendValidUtf8(bytes, &text));
  return text;
}

std::string IncrementalDecoder::Flush() {
  if (held_.empty()) return "";
  held_.clear();
  return kReplacementCharacter;
}

}  // namespace seer
