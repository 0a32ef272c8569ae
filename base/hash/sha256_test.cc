#include "base/hash/sha256.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

std::string HexOf(const std::string& text) {
  return Sha256Hex(std::vector<uint8_t>(text.begin(), text.end()));
}

// The examples of FIPS 180-4.
TEST(Sha256Test, KnownDigests) {
  EXPECT_EQ(HexOf(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexOf("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexOf(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  Sha256 sha256;
  for (const std::string piece : {"a", "", "bc"}) {
    sha256.Add(std::vector<uint8_t>(piece.begin(), piece.end()));
  }
  EXPECT_EQ(sha256.FinishHex(), HexOf("abc"));
}

}  // namespace
}  // namespace seer
