#include "engine/tokenizer/bpe/byte_level.h"

#include <array>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "base/text/utf8.h"

namespace seer {
namespace {

constexpr char32_t kFirstStandIn = 0x100;

constexpr bool StandsForItself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

constexpr int CountStandIns() {
  int count = 0;
  for (int byte = 0; byte < 256; ++byte) count += !StandsForItself(byte);
  return count;
}

constexpr std::array<char32_t, 256> MakeCharacters() {
  std::array<char32_t, 256> characters{};
  char32_t stand_in = kFirstStandIn;
  for (int byte = 0; byte < 256; ++byte) {
    characters[byte] = StandsForItself(byte) ? byte : stand_in++;
  }
  return characters;
}

constexpr int kNumCharacters = kFirstStandIn + CountStandIns();

constexpr std::array<int, kNumCharacters> MakeBytes() {
  std::array<int, kNumCharacters> bytes{};
  for (int& byte : bytes) byte = -1;
  constexpr std::array<char32_t, 256> characters = MakeCharacters();
  for (int byte = 0; byte < 256; ++byte) bytes[characters[byte]] = byte;
  return bytes;
}

constexpr std::array<char32_t, 256> kCharacters = MakeCharacters();
constexpr std::array<int, kNumCharacters> kBytes = MakeBytes();

}  // namespace

std::string ToByteLevel(absl::string_view bytes) {
  std::string token;
  for (const char byte : bytes) {
    AppendUtf8(kCharacters[static_cast<unsigned char>(byte)], &token);
  }
  return token;
}

std::optional<std::string> FromByteLevel(absl::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    const Utf8Sequence sequence = ReadUtf8(token);
    if (sequence.kind != Utf8Sequence::Kind::kCharacter) return std::nullopt;
    if (sequence.code_point >= kBytes.size()) return std::nullopt;
    const int byte = kBytes[sequence.code_point];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    token.remove_prefix(sequence.len);
  }
  return bytes;
}

}  // namespace seer
