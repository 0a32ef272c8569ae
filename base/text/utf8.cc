#include "base/text/utf8.h"

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace seer {
namespace {

// What a lead byte announces: the length of its sequence (0: no lead byte) and
// the range that its second byte must lie in.
struct Lead {
  int len;
  unsigned char second_min;
  unsigned char second_max;
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};  // a continuation, or overlong
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // at most U+10FFFF
  return {0, 0, 0};
}

}  // namespace

Utf8Sequence ReadUtf8(absl::string_view text) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = LeadOf(byte(0));
  if (lead.len == 0) return {Utf8Sequence::Kind::kInvalid, 1, 0};
  if (lead.len == 1) return {Utf8Sequence::Kind::kCharacter, 1, byte(0)};
  char32_t code_point = byte(0) & (0x7Fu >> lead.len);
  for (int i = 1; i < lead.len; ++i) {
    if (static_cast<size_t>(i) == text.size()) {
      return {Utf8Sequence::Kind::kIncomplete, i, 0};
    }
    const unsigned char min = i == 1 ? lead.second_min : 0x80;
    const unsigned char max = i == 1 ? lead.second_max : 0xBF;
    if (byte(i) < min || byte(i) > max) {
      return {Utf8Sequence::Kind::kInvalid, i, 0};
    }
    code_point = (code_point << 6) | (byte(i) & 0x3Fu);
  }
  return {Utf8Sequence::Kind::kCharacter, lead.len, code_point};
}

size_t FirstInvalidUtf8(absl::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Sequence sequence = ReadUtf8(text.substr(at));
    if (sequence.kind != Utf8Sequence::Kind::kCharacter) return at;
    at += sequence.len;
  }
  return at;
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto append = [&](char32_t byte) {
    text->push_back(static_cast<char>(byte));
  };
  if (code_point < 0x80) {
    append(code_point);
  } else if (code_point < 0x800) {
    append(0xC0 | (code_point >> 6));
    append(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    append(0xE0 | (code_point >> 12));
    append(0x80 | ((code_point >> 6) & 0x3F));
    append(0x80 | (code_point & 0x3F));
  } else {
    append(0xF0 | (code_point >> 18));
    append(0x80 | ((code_point >> 12) & 0x3F));
    append(0x80 | ((code_point >> 6) & 0x3F));
    append(0x80 | (code_point & 0x3F));
  }
}

absl::string_view AppendValidUtf8(absl::string_view bytes, std::string* text) {
  while (!bytes.empty()) {
    const size_t valid = FirstInvalidUtf8(bytes);
    text->append(bytes.data(), valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    const Utf8Sequence sequence = ReadUtf8(bytes);
    if (sequence.kind == Utf8Sequence::Kind::kIncomplete) break;
    text->append(kReplacementCharacter);
    bytes.remove_prefix(sequence.len);
  }
  return bytes;
}

}  // namespace seer
