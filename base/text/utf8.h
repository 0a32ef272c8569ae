#ifndef SEER_BASE_TEXT_UTF8_H_
#define SEER_BASE_TEXT_UTF8_H_

// Reading UTF-8 that may be broken, as the Unicode standard defines well-formed
// sequences (table 3-7: no surrogates, no overlong forms, nothing above
// U+10FFFF).

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace seer {

// What stands at the front of a text.
struct Utf8Sequence {
  enum class Kind {
    kCharacter,   // a whole character
    kIncomplete,  // the text ends inside what may become a character
    kInvalid,     // no character: replaced as a whole by one U+FFFD
  };
  Kind kind = Kind::kInvalid;
  int len = 0;              // bytes of the text it covers, >= 1
  char32_t code_point = 0;  // of a character
};

// `text` must not be empty. An invalid sequence covers its maximal subpart
// (Unicode 15.0, section 3.9), which is what most decoders replace as one.
Utf8Sequence ReadUtf8(absl::string_view text);

// Where the first broken (or incomplete) sequence starts; text.size() where the
// text is valid.
size_t FirstInvalidUtf8(absl::string_view text);

// The bytes of `code_point`, a scalar value, appended to `text`.
void AppendUtf8(char32_t code_point, std::string* text);

// Takes from `bytes` what can be decided, appends it to `text` with U+FFFD in
// place of invalid sequences, and returns the rest: an incomplete sequence of
// at most 3 bytes, or nothing.
absl::string_view AppendValidUtf8(absl::string_view bytes, std::string* text);

// UTF-8 of U+FFFD.
constexpr char kReplacementCharacter[] = "\xEF\xBF\xBD";

}  // namespace seer

#endif  // SEER_BASE_TEXT_UTF8_H_
