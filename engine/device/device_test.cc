// What every device promises, on each that is there.
#include "engine/device/device.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/device/transfer_buffer.h"
#include "gtest/gtest.h"
#include "tests/testing/engine/test_devices.h"

namespace seer {
namespace {

class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string missing = MissingDevice(GetParam());
    if (!missing.empty()) GTEST_SKIP() << missing;
    auto device = OpenTestDevice(GetParam(), nullptr);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    ASSERT_TRUE(device_->BindThisThread().ok());
  }

  // What a range of the device's memory holds.
  std::vector<uint8_t> Contents(const void* data, size_t size) {
    std::vector<uint8_t> bytes(size, 0x11);
    EXPECT_TRUE(device_->Copy(bytes.data(), data, size).ok());
    EXPECT_TRUE(device_->Synchronize().ok());
    return bytes;
  }

  std::unique_ptr<Device> device_;
};

std::vector<uint8_t> Numbers(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(7 * i + 1);
  return bytes;
}

TEST_P(DeviceTest, MemoryIsZeroAndAligned) {
  const auto memory = device_->Allocate(100000);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(memory->size(), 100000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % 256, 0u);
  EXPECT_EQ(Contents(memory->data(), 100000), std::vector<uint8_t>(100000, 0));
}

TEST_P(DeviceTest, NothingIsNothing) {
  const auto memory = device_->Allocate(0);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->data(), nullptr);
  EXPECT_EQ(memory->size(), 0u);
}

TEST_P(DeviceTest, MovedMemoryStaysWhereItIs) {
  auto memory = device_->Allocate(1000);
  ASSERT_TRUE(memory.ok());
  void* const data = memory->data();
  DeviceMemory moved = *std::move(memory);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(Contents(moved.data(), 1000), std::vector<uint8_t>(1000, 0));
}

TEST_P(DeviceTest, TooMuchMemoryIsRefusedAndForgotten) {
  EXPECT_EQ(device_->Allocate(size_t{1} << 48).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(device_->Allocate(1000).ok());
  EXPECT_TRUE(device_->Synchronize().ok());
}

TEST_P(DeviceTest, CopiesToWithinAndBack) {
  const std::vector<uint8_t> numbers = Numbers(5000);
  const auto a = device_->Allocate(5000);
  const auto b = device_->Allocate(5000);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE(device_->Copy(a->data(), numbers.data(), 5000).ok());
  ASSERT_TRUE(device_->Copy(b->data(), a->data(), 5000).ok());
  EXPECT_EQ(Contents(b->data(), 5000), numbers);
}

TEST_P(DeviceTest, CopiesARowInEveryTable) {
  for (const size_t row_bytes : {48, 1023, 4096}) {
    constexpr size_t kTables = 3, kRows = 7;
    const size_t size = kTables * kRows * row_bytes;
    std::vector<uint8_t> expected = Numbers(size);
    const auto memory = device_->Allocate(size);
    ASSERT_TRUE(memory.ok());
    ASSERT_TRUE(device_->Copy(memory->data(), expected.data(), size).ok());
    for (const auto& [from, to] : {std::pair(6, 1), std::pair(0, 6)}) {
      ASSERT_TRUE(
          device_
              ->CopyRow({memory->data(), kTables, kRows, row_bytes}, from, to)
              .ok());
      for (size_t table = 0; table < kTables; ++table) {
        const auto row = [&](size_t i) {
          return expected.begin() + (table * kRows + i) * row_bytes;
        };
        std::copy_n(row(from), row_bytes, row(to));
      }
    }
    EXPECT_EQ(Contents(memory->data(), size), expected) << row_bytes;
  }
}

TEST_P(DeviceTest, RecordedWorkIsDoneAgainOnWhatMemoryHolds) {
  const auto a = device_->Allocate(5000);
  const auto b = device_->Allocate(5000);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE(device_->Synchronize().ok());
  const auto graph = device_->Record(
      [&] { return device_->Copy(b->data(), a->data(), 5000); });
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (const uint8_t factor : {1, 3}) {
    std::vector<uint8_t> numbers = Numbers(5000);
    for (uint8_t& number : numbers) number *= factor;
    ASSERT_TRUE(device_->Copy(a->data(), numbers.data(), 5000).ok());
    EXPECT_NE(Contents(b->data(), 5000), numbers);
    ASSERT_TRUE((*graph)->Enqueue().ok());
    EXPECT_EQ(Contents(b->data(), 5000), numbers);
  }
}

TEST_P(DeviceTest, WorkThatCouldNotBeRecordedLeavesTheDeviceAsItWas) {
  if (GetParam() != "cuda") GTEST_SKIP() << "nothing is recorded there";
  EXPECT_FALSE(
      device_->Record([] { return absl::UnavailableError("!"); }).ok());
  // Not to be waited for while it records.
  EXPECT_FALSE(device_->Record([&] { return device_->Synchronize(); }).ok());
  const auto memory = device_->Allocate(100);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(Contents(memory->data(), 100), std::vector<uint8_t>(100, 0));
}

TEST_P(DeviceTest, ATransferBufferMovesBothWays) {
  TransferBuffer buffer(device_.get());
  ASSERT_TRUE(buffer.Reserve(3000).ok());
  const std::vector<uint8_t> numbers = Numbers(3000);
  std::memcpy(buffer.host(), numbers.data(), 3000);
  ASSERT_TRUE(buffer.Upload(3000).ok());
  EXPECT_EQ(Contents(buffer.device(), 3000), numbers);

  const auto other = device_->Allocate(3000);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(device_->Copy(buffer.device() + 1000, other->data(), 1000).ok());
  ASSERT_TRUE(buffer.Download(3000).ok());
  ASSERT_TRUE(device_->Synchronize().ok());
  std::vector<uint8_t> expected = numbers;
  std::fill_n(expected.begin() + 1000, 1000, 0);
  EXPECT_EQ(std::vector<uint8_t>(buffer.host(), buffer.host() + 3000),
            expected);
}

TEST_P(DeviceTest, ATransferBufferGrows) {
  TransferBuffer buffer(device_.get());
  ASSERT_TRUE(buffer.Reserve(10).ok());
  char* const device = buffer.device();
  ASSERT_TRUE(buffer.Reserve(5).ok());
  EXPECT_EQ(buffer.device(), device);
  ASSERT_TRUE(buffer.Reserve(1 << 20).ok());
  const std::vector<uint8_t> numbers = Numbers(1 << 20);
  std::memcpy(buffer.host(), numbers.data(), numbers.size());
  ASSERT_TRUE(buffer.Upload(numbers.size()).ok());
  EXPECT_EQ(Contents(buffer.device(), numbers.size()), numbers);
}

TEST_P(DeviceTest, TimePasses) {
  const std::unique_ptr<DeviceClock> clock = device_->MakeClock();
  const auto memory = device_->Allocate(1 << 24);
  ASSERT_TRUE(memory.ok());
  char* const data = static_cast<char*>(memory->data());
  for (int round = 0; round < 2; ++round) {
    clock->Reset();
    const int begin = clock->Mark();
    ASSERT_TRUE(device_->Copy(data, data + (1 << 23), 1 << 23).ok());
    const int middle = clock->Mark();
    ASSERT_TRUE(device_->Copy(data + (1 << 23), data, 1 << 23).ok());
    const int end = clock->Mark();
    ASSERT_TRUE(device_->Synchronize().ok());
    EXPECT_EQ(begin, 0);
    EXPECT_GT(clock->Between(begin, middle), absl::ZeroDuration());
    EXPECT_GE(clock->Between(begin, end), clock->Between(begin, middle));
  }
}

TEST_P(DeviceTest, FreeMemoryShrinksWhereItIsTheDevicesOwn) {
  const auto before = device_->FreeBytes();
  if (absl::IsUnimplemented(before.status())) {
    GTEST_SKIP() << before.status().message();
  }
  ASSERT_TRUE(before.ok()) << before.status();
  const auto memory = device_->Allocate(size_t{1} << 28);
  ASSERT_TRUE(memory.ok());
  const auto after = device_->FreeBytes();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_LT(*after, *before);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceTest, testing::ValuesIn(TestDevices()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seer
