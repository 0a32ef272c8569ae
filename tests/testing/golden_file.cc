#include "tests/testing/golden_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/base/internal/raw_logging.h"
#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

ABSL_FLAG(std::string, golden_dir, "tests/golden",
          "Directory of the golden files to test against.");

namespace seer {
namespace {

SafetensorsFile OpenOrDie(const std::string& path) {
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  ABSL_RAW_CHECK(file.ok(), file.status().ToString().c_str());
  return *std::move(file);
}

template <typename T>
std::vector<T> Elements(const SafetensorsFile& file, const std::string& name,
                        SafetensorsDtype dtype) {
  const SafetensorsTensor* tensor = file.Find(name);
  ABSL_RAW_CHECK(tensor != nullptr && tensor->dtype == dtype, name.c_str());
  std::vector<T> elements(tensor->bytes.size() / sizeof(T));
  std::memcpy(elements.data(), tensor->bytes.data(), tensor->bytes.size());
  return elements;
}

}  // namespace

std::string GoldenDir() { return absl::GetFlag(FLAGS_golden_dir); }

std::vector<std::string> GoldenPaths(absl::string_view prefix,
                                     absl::string_view suffix) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenDir())) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, prefix) && absl::EndsWith(name, suffix)) {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

GoldenTensors::GoldenTensors(const std::string& path)
    : file_(OpenOrDie(path)) {}

std::vector<std::string> GoldenTensors::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) names.push_back(name);
  return names;
}

std::vector<int64_t> GoldenTensors::Shape(const std::string& name) const {
  const SafetensorsTensor* tensor = file_.Find(name);
  ABSL_RAW_CHECK(tensor != nullptr, name.c_str());
  return tensor->shape;
}

std::vector<float> GoldenTensors::Floats(const std::string& name) const {
  return Elements<float>(file_, name, SafetensorsDtype::kF32);
}

std::vector<int32_t> GoldenTensors::Ints(const std::string& name) const {
  return Elements<int32_t>(file_, name, SafetensorsDtype::kI32);
}

std::vector<uint8_t> GoldenTensors::Bytes(const std::string& name) const {
  return Elements<uint8_t>(file_, name, SafetensorsDtype::kU8);
}

std::string GoldenTensors::Text(const std::string& key) const {
  const auto it = file_.metadata().find(key);
  ABSL_RAW_CHECK(it != file_.metadata().end(), key.c_str());
  return it->second;
}

double GoldenTensors::Number(const std::string& key) const {
  double value = 0.0;
  ABSL_RAW_CHECK(absl::SimpleAtod(Text(key), &value), key.c_str());
  return value;
}

}  // namespace seer
