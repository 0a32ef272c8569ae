// A GPU that faults: what each call of the device then says.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "engine/device/cuda_device.h"
#include "gtest/gtest.h"
#include "tests/testing/kernels/cuda/device_fault.h"
#include "tests/testing/own_process.h"

namespace seer {
namespace {

class CudaDeviceFaultTest : public testing::TestWithParam<DeviceFault> {
 protected:
  void SetUp() override {
    const absl::Status there = CheckCudaDevice(0);
    if (!there.ok()) GTEST_SKIP() << there.message();
  }
};

// Faults in the work of a device, with memory, a clock and recorded work that
// are still to be destroyed.
void FaultOnTheDevice(DeviceFault fault) {
  auto device = OpenCudaDevice(0);
  ASSERT_TRUE(device.ok()) << device.status();
  const auto a = (*device)->Allocate(1000);
  const auto b = (*device)->Allocate(1000);
  const auto host = (*device)->AllocateHost(1000);
  ASSERT_TRUE(a.ok() && b.ok() && host.ok());
  const auto copy = [&] { return (*device)->Copy(b->data(), a->data(), 1000); };
  const auto graph = (*device)->Record(copy);
  ASSERT_TRUE(graph.ok()) << graph.status();
  const std::unique_ptr<DeviceClock> clock = (*device)->MakeClock();
  clock->Mark();
  ASSERT_TRUE((*device)->Synchronize().ok());

  ASSERT_TRUE(EnqueueFault(fault, (*device)->stream().cuda_stream));
  clock->Mark();
  const absl::Status first = (*device)->Synchronize();
  EXPECT_EQ(first.code(), absl::StatusCode::kInternal) << first;
  // It stays, and passes for nothing else, a lack of memory above all.
  const std::vector<absl::Status> later = {
      (*device)->Synchronize(),
      copy(),
      (*device)->CopyRow({a->data(), 2, 5, 100}, 0, 1),
      (*device)->Copy(host->data(), a->data(), 1000),
      (*graph)->Enqueue(),
      (*device)->Allocate(1000).status(),
      (*device)->FreeBytes().status(),
      (*device)->Record(copy).status()};
  for (size_t i = 0; i < later.size(); ++i) {
    EXPECT_EQ(later[i].code(), absl::StatusCode::kInternal)
        << "call " << i << ": " << later[i];
  }
  EXPECT_EQ(clock->Between(0, 1), absl::ZeroDuration());
}

TEST_P(CudaDeviceFaultTest, StaysAndIsNoLackOfMemory) {
  ExpectPassesInItsOwnProcess(120, [] { FaultOnTheDevice(GetParam()); });
}

INSTANTIATE_TEST_SUITE_P(Faults, CudaDeviceFaultTest,
                         testing::Values(DeviceFault::kUnmappedAddress,
                                         DeviceFault::kTrap),
                         [](const auto& info) {
                           return info.param == DeviceFault::kTrap
                                      ? "trap"
                                      : "unmapped_address";
                         });

}  // namespace
}  // namespace seer
