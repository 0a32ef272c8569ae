#include "engine/device/cuda_device.h"

#include <ATen/ops/empty.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

class CudaDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Status there = CheckCudaDevice(0);
    if (!there.ok()) GTEST_SKIP() << there.message();
    auto device = OpenCudaDevice(0);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
  }

  std::unique_ptr<Device> device_;
};

TEST_F(CudaDeviceTest, AllocatesWhatAtenHoldsUnused) {
  const auto free = device_->FreeBytes();
  ASSERT_TRUE(free.ok()) << free.status();
  const int64_t most = *free / 4 * 3;
  at::empty({most}, at::TensorOptions(at::kByte).device(at::Device(at::kCUDA)));
  const auto memory = device_->Allocate(most);
  EXPECT_TRUE(memory.ok()) << memory.status();
}

TEST_F(CudaDeviceTest, TooMuchIsNoFault) {
  const auto free = device_->FreeBytes();
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_EQ(device_->Allocate(2 * *free).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(device_->Synchronize().ok());
  EXPECT_TRUE(device_->Allocate(1 << 20).ok());
}

}  // namespace
}  // namespace seer
