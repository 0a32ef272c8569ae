#include "base/hash/crc32c.h"

#include <array>
#include <cstddef>

namespace seer {
namespace {

// Eight bytes a turn ("slicing by 8"): kTables[k][b] is the remainder of byte b
// followed by k zero bytes.
constexpr int kSlices = 8;
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Tables MakeTables() {
  constexpr uint32_t kReversedPolynomial = 0x82f63b78;
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    }
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (int k = 1; k < kSlices; ++k) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 255];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

// The bytes in the file's order, whatever the machine's.
uint32_t LittleEndian32(const unsigned char* bytes) {
  return uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 |
         uint32_t{bytes[2]} << 16 | uint32_t{bytes[3]} << 24;
}

}  // namespace

uint32_t Crc32c(absl::string_view bytes, uint32_t before) {
  const auto* next = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t left = bytes.size();
  uint32_t crc = ~before;
  for (; left >= kSlices; left -= kSlices, next += kSlices) {
    const uint32_t low = crc ^ LittleEndian32(next);
    const uint32_t high = LittleEndian32(next + 4);
    crc = kTables[7][low & 255] ^ kTables[6][low >> 8 & 255] ^
          kTables[5][low >> 16 & 255] ^ kTables[4][low >> 24] ^
          kTables[3][high & 255] ^ kTables[2][high >> 8 & 255] ^
          kTables[1][high >> 16 & 255] ^ kTables[0][high >> 24];
  }
  for (; left > 0; --left, ++next) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ *next) & 255];
  }
  return ~crc;
}

}  // namespace seer
