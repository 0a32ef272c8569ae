// What Unicode calls white space (property White_Space), which is also what \s
// means in the patterns of tokenizer.json.
#ifndef SEER_ENGINE_TOKENIZER_BPE_WHITE_SPACE_H_
#define SEER_ENGINE_TOKENIZER_BPE_WHITE_SPACE_H_

namespace seer {

constexpr bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// The same characters inside the brackets of a PCRE2 pattern. PCRE2's own \s
// has U+180E beside them.
constexpr char kWhiteSpaceClass[] =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})"
    R"(\x{205f}\x{3000})";

}  // namespace seer

#endif  // SEER_ENGINE_TOKENIZER_BPE_WHITE_SPACE_H_
