#include "base/text/utf8.h"

#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

using Kind = Utf8Sequence::Kind;

TEST(ReadUtf8Test, ReadsEveryScalarValueThatAppendWrites) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Sequence sequence = ReadUtf8(text);
    ASSERT_EQ(sequence.kind, Kind::kCharacter) << c;
    ASSERT_EQ(sequence.code_point, c);
    ASSERT_EQ(static_cast<size_t>(sequence.len), text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Sequence part = ReadUtf8(text.substr(0, cut));
      ASSERT_EQ(part.kind, Kind::kIncomplete);
      ASSERT_EQ(static_cast<size_t>(part.len), cut);
    }
  }
}

TEST(ReadUtf8Test, RefusesWhatIsNoCharacter) {
  struct Case {
    absl::string_view bytes;
    int len;  // of the maximal subpart
  };
  for (const Case& c : {
           Case{"\x80", 1},              // a lone continuation
           Case{"\xC0\x80", 1},          // overlong
           Case{"\xC1\xBF", 1},          // overlong
           Case{"\xE0\x80\x80", 1},      // overlong
           Case{"\xF0\x8F\xBF\xBF", 1},  // overlong
           Case{"\xED\xA0\x80", 1},      // a surrogate
           Case{"\xF4\x90\x80\x80", 1},  // above U+10FFFF
           Case{"\xF5\x80\x80\x80", 1},
           Case{"\xFF", 1},
           Case{"\xC3(", 1},
           Case{"\xE2\x82(", 2},
           Case{"\xF0\x9F\x98(", 3},
       }) {
    const Utf8Sequence sequence = ReadUtf8(c.bytes);
    EXPECT_EQ(sequence.kind, Kind::kInvalid);
    EXPECT_EQ(sequence.len, c.len);
    EXPECT_EQ(FirstInvalidUtf8("ok" + std::string(c.bytes)), 2u);
  }
}

TEST(FirstInvalidUtf8Test, IsTheSizeOfValidText) {
  EXPECT_EQ(FirstInvalidUtf8(""), 0u);
  EXPECT_EQ(FirstInvalidUtf8("na\xC3\xAFve \xF0\x9F\x99\x82"), 11u);
  EXPECT_EQ(FirstInvalidUtf8("a\xC3"), 1u);
}

TEST(AppendValidUtf8Test, ReplacesMaximalSubparts) {
  // The example of the Unicode standard, table 3-11.
  std::string text;
  EXPECT_EQ(AppendValidUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", &text), "");
  const std::string r = kReplacementCharacter;
  EXPECT_EQ(text, r + r + r + r + "A");
}

TEST(AppendValidUtf8Test, ReturnsWhatMayStillBecomeACharacter) {
  std::string text;
  EXPECT_EQ(AppendValidUtf8("a\xFF\xF0\x9F\x99", &text), "\xF0\x9F\x99");
  EXPECT_EQ(text, std::string("a") + kReplacementCharacter);
}

}  // namespace
}  // namespace seer
