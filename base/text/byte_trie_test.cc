#include "base/text/byte_trie.h"

#include <map>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(ByteTrieTest, FindsTheLongestPrefix) {
  ByteTrie trie;
  trie.Insert("ab", 1);
  trie.Insert("abcd", 2);
  trie.Insert(absl::string_view("\0x", 2), 3);
  EXPECT_EQ(trie.LongestPrefix("abc").len, 2u);
  EXPECT_EQ(trie.LongestPrefix("abc").value, 1);
  EXPECT_EQ(trie.LongestPrefix("abcde").value, 2);
  EXPECT_EQ(trie.LongestPrefix(absl::string_view("\0xy", 3)).value, 3);
  EXPECT_EQ(trie.LongestPrefix("b").len, 0u);
  EXPECT_EQ(trie.LongestPrefix("").value, ByteTrie::kNone);
}

TEST(ByteTrieTest, ALaterValueReplacesTheFirst) {
  ByteTrie trie;
  const int32_t node = trie.Insert("ab", 1);
  EXPECT_EQ(trie.Insert("ab", 5), node);
  EXPECT_EQ(trie.Value(node), 5);
}

TEST(ByteTrieTest, NodesKnowTheirPlace) {
  ByteTrie trie;
  const int32_t node = trie.Insert("abc", 0);
  EXPECT_EQ(trie.num_nodes(), 4);
  EXPECT_EQ(trie.Depth(node), 3);
  EXPECT_EQ(trie.LastByte(node), 'c');
  EXPECT_EQ(trie.Child(trie.Parent(node), 'c'), node);
  EXPECT_LT(trie.Parent(node), node);
}

TEST(ByteTrieTest, EqualsASearchOfAllKeys) {
  std::mt19937 random(3);
  const auto word = [&](int longest) {
    std::string text(1 + random() % longest, ' ');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  ByteTrie trie;
  std::map<std::string, int> keys;
  for (int i = 0; i < 60; ++i) {
    const std::string key = word(6);
    keys[key] = i;
    trie.Insert(key, i);
  }
  for (int i = 0; i < 2000; ++i) {
    const std::string text = word(10);
    ByteTrie::Match expected;
    for (const auto& [key, value] : keys) {
      if (absl::StartsWith(text, key) && key.size() > expected.len) {
        expected = {key.size(), value};
      }
    }
    ASSERT_EQ(trie.LongestPrefix(text).len, expected.len) << text;
    ASSERT_EQ(trie.LongestPrefix(text).value, expected.value) << text;
  }
}

}  // namespace
}  // namespace seer
