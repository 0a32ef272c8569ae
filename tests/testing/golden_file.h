// Files of numbers computed outside this project. A test that reads them links
// golden_main, which takes the directory:
//
//   bazel test //kernels/attention:attention_golden_test
//   attention_golden_test --golden_dir=/elsewhere
#ifndef SEER_TESTS_TESTING_GOLDEN_FILE_H_
#define SEER_TESTS_TESTING_GOLDEN_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/safetensors/safetensors.h"

namespace seer {

// The directory of --golden_dir; tests/golden unless it was given.
std::string GoldenDir();

// Paths of the directory's files called <prefix>*<suffix>, sorted. A directory
// may hold any subset: a test without a file to read skips.
//
//   GoldenPaths("attn_gate_", ".safetensors")
std::vector<std::string> GoldenPaths(absl::string_view prefix,
                                     absl::string_view suffix);

// One safetensors file. CHECK-fails where the file, a tensor or a metadata
// field is missing or has another type.
class GoldenTensors {
 public:
  explicit GoldenTensors(const std::string& path);

  bool Has(const std::string& name) const { return file_.Find(name); }
  std::vector<std::string> Names() const;  // of the tensors, sorted
  std::vector<int64_t> Shape(const std::string& name) const;
  std::vector<float> Floats(const std::string& name) const;   // F32
  std::vector<int32_t> Ints(const std::string& name) const;   // I32
  std::vector<uint8_t> Bytes(const std::string& name) const;  // U8
  // Metadata: a string, and a string read as a number.
  std::string Text(const std::string& key) const;
  double Number(const std::string& key) const;

 private:
  SafetensorsFile file_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_GOLDEN_FILE_H_
