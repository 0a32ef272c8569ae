#include "base/anonymous_memory.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(AnonymousMemoryTest, ReadsAsZerosAndKeepsWhatIsWritten) {
  absl::StatusOr<AnonymousMemory> memory = AnonymousMemory::Allocate(10000);
  ASSERT_TRUE(memory.ok()) << memory.status();
  auto* bytes = static_cast<uint8_t*>(memory->data());
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(bytes[i], 0);
  bytes[9999] = 7;
  const AnonymousMemory moved = *std::move(memory);
  EXPECT_EQ(moved.data(), bytes);
  EXPECT_EQ(moved.size(), 10000u);
  EXPECT_EQ(bytes[9999], 7);
}

TEST(AnonymousMemoryTest, FarMoreThanRamMayBeReserved) {
  const absl::StatusOr<AnonymousMemory> memory =
      AnonymousMemory::Allocate(size_t{1} << 42);
  EXPECT_TRUE(memory.ok()) << memory.status();
}

TEST(AnonymousMemoryTest, AnImpossibleSizeIsRefused) {
  const absl::StatusOr<AnonymousMemory> memory =
      AnonymousMemory::Allocate(std::numeric_limits<size_t>::max() / 2);
  EXPECT_EQ(memory.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(AnonymousMemoryTest, NothingIsNothing) {
  const absl::StatusOr<AnonymousMemory> memory = AnonymousMemory::Allocate(0);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->size(), 0u);
}

}  // namespace
}  // namespace seer
