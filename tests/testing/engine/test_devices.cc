#include "tests/testing/engine/test_devices.h"

#include "absl/status/status.h"
#include "engine/device/open_device.h"
#include "tests/testing/engine/split_device.h"

namespace seer {

std::vector<std::string> RealTestDevices() {
  MissingDevice("cuda");  // loads ATen's GPU operators where there is a GPU
  return {"cpu", "cuda"};
}

std::vector<std::string> TestDevices() {
  std::vector<std::string> devices = RealTestDevices();
  devices.push_back("split");
  return devices;
}

std::string MissingDevice(const std::string& name) {
  if (name == "split") return "";
  return std::string(CheckDevice(name).message());
}

absl::StatusOr<std::unique_ptr<Device>> OpenTestDevice(const std::string& name,
                                                       Executor* executor) {
  if (name == "split") return std::make_unique<SplitDevice>(executor);
  return OpenDevice(name, executor);
}

}  // namespace seer
