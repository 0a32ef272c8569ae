#include "engine/tokenizer/bpe/byte_level.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(ByteLevelTest, KnownCharacters) {
  EXPECT_EQ(ToByteLevel("a b\n"), "a\u0120b\u010A");
  EXPECT_EQ(ToByteLevel("\xC3\xA9"), "\u00C3\u00A9");
  EXPECT_EQ(ToByteLevel(std::string(1, '\0')), "\u0100");
  EXPECT_EQ(ToByteLevel("\xAD"), "\u0143");  // the last stand-in
}

TEST(ByteLevelTest, EveryByteHasItsCharacter) {
  std::set<std::string> characters;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string character = ToByteLevel(bytes);
    EXPECT_TRUE(characters.insert(character).second) << byte;
    EXPECT_EQ(FromByteLevel(character), bytes) << byte;
  }
}

TEST(ByteLevelTest, OtherCharactersStandForNothing) {
  for (const char* token : {" ", "a b", "\u0144", "\u65E5", "\xFF", "\n"}) {
    EXPECT_FALSE(FromByteLevel(token).has_value()) << token;
  }
  EXPECT_EQ(FromByteLevel(""), "");
}

}  // namespace
}  // namespace seer
