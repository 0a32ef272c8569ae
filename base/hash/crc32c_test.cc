#include "base/hash/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace seer {
namespace {

// RFC 3720, appendix B.4, which writes the lowest byte first.
TEST(Crc32cTest, MatchesTheRfc) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) {
    rising += static_cast<char>(i);
    falling += static_cast<char>(31 - i);
  }
  EXPECT_EQ(Crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(Crc32c(falling), 0x113fdb5cu);
  const std::string read_command(
      "\x01\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
      "\x14\0\0\0\0\0\x04\0\0\0\0\x14\0\0\0\x18"
      "\x28\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0",
      48);
  EXPECT_EQ(Crc32c(read_command), 0xd9963a56u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32cTest, GoesOnAnywhere) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += static_cast<char>(i * 37);
  const uint32_t whole = Crc32c(bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(Crc32c(bytes.substr(cut), Crc32c(bytes.substr(0, cut))), whole);
  }
}

}  // namespace
}  // namespace seer
