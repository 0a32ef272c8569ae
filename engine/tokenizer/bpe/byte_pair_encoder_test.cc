#include "engine/tokenizer/bpe/byte_pair_encoder.h"

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

ByteTokens OneTokenPerByte() {
  ByteTokens tokens;
  for (int byte = 0; byte < 256; ++byte) tokens[byte] = byte;
  return tokens;
}

std::vector<TokenId> Encode(const BytePairEncoder& encoder,
                            const std::string& word) {
  BytePairEncoder::Scratch scratch;
  std::vector<TokenId> tokens;
  encoder.Encode(word, &scratch, &tokens);
  return tokens;
}

// The definition: merge the pair of lowest rank, leftmost, until none is left.
std::vector<TokenId> EncodeByDefinition(const ByteTokens& byte_tokens,
                                        const std::vector<Merge>& merges,
                                        const std::string& word) {
  std::map<std::pair<TokenId, TokenId>, std::pair<int, TokenId>> ranks;
  for (size_t i = 0; i < merges.size(); ++i) {
    ranks[{merges[i].left, merges[i].right}] = {static_cast<int>(i),
                                                merges[i].result};
  }
  std::vector<TokenId> tokens;
  for (const unsigned char byte : word) {
    if (byte_tokens[byte] != kNoToken) tokens.push_back(byte_tokens[byte]);
  }
  while (true) {
    int best_rank = -1;
    size_t best = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto it = ranks.find({tokens[i], tokens[i + 1]});
      if (it == ranks.end()) continue;
      if (best_rank >= 0 && it->second.first >= best_rank) continue;
      best_rank = it->second.first;
      best = i;
    }
    if (best_rank < 0) return tokens;
    tokens[best] = ranks[{tokens[best], tokens[best + 1]}].second;
    tokens.erase(tokens.begin() + best + 1);
  }
}

TEST(BytePairEncoderTest, MergesByRankThenLeftmost) {
  const std::vector<Merge> merges = {
      {'b', 'c', 300}, {'a', 'b', 301}, {'a', 300, 302}, {300, 300, 303}};
  const BytePairEncoder encoder(OneTokenPerByte(), merges);
  EXPECT_EQ(Encode(encoder, "abc"), std::vector<TokenId>({302}));
  EXPECT_EQ(Encode(encoder, "ab"), std::vector<TokenId>({301}));
  EXPECT_EQ(Encode(encoder, "bcbcbc"), std::vector<TokenId>({303, 300}));
  EXPECT_EQ(Encode(encoder, "xyz"), std::vector<TokenId>({'x', 'y', 'z'}));
  EXPECT_TRUE(Encode(encoder, "").empty());
}

TEST(BytePairEncoderTest, DropsBytesWithoutATokenBeforeMerging) {
  ByteTokens byte_tokens = OneTokenPerByte();
  byte_tokens['-'] = kNoToken;
  const BytePairEncoder encoder(byte_tokens, {{'a', 'b', 300}});
  EXPECT_EQ(Encode(encoder, "-a-b-"), std::vector<TokenId>({300}));
  EXPECT_TRUE(Encode(encoder, "---").empty());
}

TEST(BytePairEncoderTest, LastOfEqualMergesCounts) {
  const BytePairEncoder encoder(OneTokenPerByte(),
                                {{'a', 'b', 300}, {'a', 'b', 301}});
  EXPECT_EQ(Encode(encoder, "ab"), std::vector<TokenId>({301}));
}

// Random merge tables, some of which make a token in several ways, on words of
// few letters, so that merges overlap all the time.
TEST(BytePairEncoderTest, EqualsTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<TokenId> known = {'a', 'b', 'c'};
    std::vector<Merge> merges;
    for (int i = 0; i < 20; ++i) {
      const TokenId left = known[random() % known.size()];
      const TokenId right = known[random() % known.size()];
      const TokenId result = 300 + static_cast<TokenId>(random() % 16);
      merges.push_back({left, right, result});
      known.push_back(result);
    }
    const ByteTokens byte_tokens = OneTokenPerByte();
    const BytePairEncoder encoder(byte_tokens, merges);
    for (int i = 0; i < 20; ++i) {
      std::string word(random() % 40, ' ');
      for (char& c : word) c = static_cast<char>('a' + random() % 3);
      ASSERT_EQ(Encode(encoder, word),
                EncodeByDefinition(byte_tokens, merges, word))
          << word << " in round " << round;
    }
  }
}

// 8 MiB in one word: a quadratic merge would take days.
TEST(BytePairEncoderTest, HugeWordsAreNotQuadratic) {
  std::vector<Merge> merges = {{'a', 'a', 300}};
  for (TokenId id = 300; id < 310; ++id) merges.push_back({id, id, id + 1});
  const BytePairEncoder encoder(OneTokenPerByte(), merges);
  constexpr size_t kSize = size_t{8} << 20;
  const std::vector<TokenId> tokens = Encode(encoder, std::string(kSize, 'a'));
  EXPECT_EQ(tokens, std::vector<TokenId>(kSize >> 11, 310));
}

}  // namespace
}  // namespace seer
