#include "engine/tokenizer/bpe/pattern.h"

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/tokenizer/bpe/white_space.h"

namespace seer {
namespace {

absl::Status Unsupported(absl::string_view construct,
                         absl::string_view pattern) {
  return absl::UnimplementedError(absl::StrCat("the pattern `", pattern,
                                               "` uses ", construct,
                                               ", which is not supported"));
}

// The replacement of the escape of `c`.
absl::StatusOr<std::string> TranslateEscape(char c, bool in_brackets,
                                            absl::string_view pattern) {
  if (c == 's') {
    return in_brackets ? std::string(kWhiteSpaceClass)
                       : absl::StrCat("[", kWhiteSpaceClass, "]");
  }
  if (c == 'S' && !in_brackets)
    return absl::StrCat("[^", kWhiteSpaceClass, "]");
  constexpr absl::string_view kSameInBoth = "dDrntfpP";
  if (c == 'v') return std::string("\\x0b");  // PCRE2: any vertical space
  if (absl::ascii_ispunct(c) ||
      kSameInBoth.find(c) != absl::string_view::npos) {
    return std::string({'\\', c});
  }
  return Unsupported(absl::StrCat("\\", absl::string_view(&c, 1),
                                  in_brackets ? " inside brackets" : ""),
                     pattern);
}

}  // namespace

absl::StatusOr<std::string> TranslatePattern(absl::string_view pattern) {
  std::string translated;
  bool in_brackets = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      if (++i == pattern.size())
        return Unsupported("a final backslash", pattern);
      auto escape = TranslateEscape(pattern[i], in_brackets, pattern);
      if (!escape.ok()) return escape;
      translated += *escape;
      continue;
    }
    if (in_brackets && c == '[') return Unsupported("sets in sets", pattern);
    if (in_brackets && pattern.substr(i, 2) == "&&") {
      return Unsupported("&&", pattern);
    }
    if (c == '[') {
      in_brackets = true;
      translated += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') {
        translated += pattern[++i];
      }
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
        return Unsupported("a bracket after its opening", pattern);
      }
      continue;
    }
    if (c == ']') in_brackets = false;
    translated += c;
  }
  return translated;
}

}  // namespace seer
