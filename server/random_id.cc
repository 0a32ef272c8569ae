#include "server/random_id.h"

#include <cstdint>
#include <random>

namespace seer {

std::string NewRandomId() {
  // 5 bits a character.
  constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  constexpr int kLength = 26;
  thread_local std::random_device device;
  std::string id;
  uint32_t bits = 0;
  for (int i = 0; i < kLength; ++i) {
    if (i % 6 == 0) bits = device();
    id += kAlphabet[bits & 31];
    bits >>= 5;
  }
  return id;
}

}  // namespace seer
