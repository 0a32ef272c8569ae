#include "engine/tokenizer/bpe/added_tokens.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/text/byte_trie.h"
#include "base/text/utf8.h"
#include "engine/tokenizer/bpe/white_space.h"

namespace seer {
namespace {

// Bytes of white space that `text` (UTF-8) starts with.
size_t LeadingSpace(absl::string_view text) {
  size_t len = 0;
  while (len < text.size()) {
    const Utf8Sequence next = ReadUtf8(text.substr(len));
    if (!IsWhiteSpace(next.code_point)) break;
    len += next.len;
  }
  return len;
}

// Bytes of white space that `text` (UTF-8) ends with.
size_t TrailingSpace(absl::string_view text) {
  size_t start = text.size();
  while (start > 0) {
    size_t at = start - 1;
    while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
    if (!IsWhiteSpace(ReadUtf8(text.substr(at)).code_point)) break;
    start = at;
  }
  return text.size() - start;
}

}  // namespace

AddedTokens::AddedTokens(absl::Span<const AddedToken> tokens)
    : tokens_(tokens.begin(), tokens.end()) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    for (const bool parse_special : {false, true}) {
      if (tokens_[i].special && !parse_special) continue;
      Group& group = groups_[parse_special][tokens_[i].normalized];
      group.trie.Insert(tokens_[i].content, static_cast<int32_t>(i));
      group.empty = false;
    }
  }
}

void AddedTokens::Split(absl::string_view text, bool parse_special,
                        absl::FunctionRef<void(const TextPiece&)> piece) const {
  const auto& [first, second] = groups_[parse_special];
  SplitBy(first, text, [&, &second = second](const TextPiece& part) {
    if (part.token) {
      piece(part);
    } else {
      SplitBy(second, part.text, piece);
    }
  });
}

void AddedTokens::SplitBy(
    const Group& group, absl::string_view text,
    absl::FunctionRef<void(const TextPiece&)> piece) const {
  size_t given = 0;  // bytes of `text` given out
  size_t at = 0;
  while (!group.empty && at < text.size()) {
    const ByteTrie::Match match = group.trie.LongestPrefix(text.substr(at));
    if (match.len == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match.value];
    size_t start = at;
    size_t end = at + match.len;
    if (token.lstrip) {
      start -= TrailingSpace(text.substr(given, start - given));
    }
    if (token.rstrip) end += LeadingSpace(text.substr(end));
    if (given < start) piece({std::nullopt, text.substr(given, start - given)});
    piece({token.id, text.substr(start, end - start)});
    given = at = end;
  }
  if (given < text.size()) piece({std::nullopt, text.substr(given)});
}

}  // namespace seer
