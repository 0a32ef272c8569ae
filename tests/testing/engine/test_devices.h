// The devices that tests of the model run on.
#ifndef SEER_TESTS_TESTING_ENGINE_TEST_DEVICES_H_
#define SEER_TESTS_TESTING_ENGINE_TEST_DEVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/thread/executor.h"
#include "engine/device/device.h"

namespace seer {

// "cpu", "cuda" and "split" (a SplitDevice), for INSTANTIATE_TEST_SUITE_P:
// called there, it makes the GPU known to ATen before any operator runs.
std::vector<std::string> TestDevices();
// The same without "split", which computes what the CPU does.
std::vector<std::string> RealTestDevices();

// Why tests cannot run on it, in words for GTEST_SKIP; empty: they can.
std::string MissingDevice(const std::string& name);

// Opens one of TestDevices, or any that OpenDevice knows.
absl::StatusOr<std::unique_ptr<Device>> OpenTestDevice(const std::string& name,
                                                       Executor* executor);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_TEST_DEVICES_H_
