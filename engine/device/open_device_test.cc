#include "engine/device/open_device.h"

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

TEST(CheckDeviceNameTest, KnowsItsNames) {
  for (const char* name : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"}) {
    EXPECT_TRUE(CheckDeviceName(name).ok()) << name;
  }
  for (const char* name :
       {"", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:1x",
        "cuda: 1", "cuda:1000", "cpu:0", "auto "}) {
    EXPECT_EQ(CheckDeviceName(name).code(), absl::StatusCode::kInvalidArgument)
        << name;
    EXPECT_EQ(CheckDevice(name).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(OpenDevice(name, nullptr).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(OpenDeviceTest, TheCpuIsAlwaysThere) {
  EXPECT_TRUE(CheckDevice("cpu").ok());
  const auto device = OpenDevice("cpu", nullptr);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->name(), "cpu");
  EXPECT_EQ((*device)->backend(), Backend::kCpu);
}

TEST(OpenDeviceTest, AutoIsTheGpuWhereThereIsOne) {
  const bool has_gpu = CheckDevice("cuda").ok();
  const auto device = OpenDevice("auto", nullptr);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->name(), has_gpu ? "cuda:0" : "cpu");
}

TEST(OpenDeviceTest, AMissingGpuIsAnErrorThatSaysWhy) {
  const absl::Status missing = CheckDevice("cuda:99");
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(missing.message().empty());
  EXPECT_EQ(OpenDevice("cuda:99", nullptr).status(), missing);
}

}  // namespace
}  // namespace seer
