// One attention layer computed outside this project: attn_gate_*.safetensors
// and layer_*.safetensors.
#ifndef SEER_TESTS_GOLDEN_TESTS_GOLDEN_LAYER_H_
#define SEER_TESTS_GOLDEN_TESTS_GOLDEN_LAYER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/rope.h"
#include "tests/testing/kernels/cases/paged_sequences.h"
#include "tests/testing/kernels/cases/scored_gate.h"

namespace seer {

struct GoldenLayer {
  std::string name;  // of the file, without its suffix
  HeadShape shape;
  SequenceTokens tokens;  // fp32; the prompt is the whole sequence
  GateWeights gate;       // fp32; without weights where the file has none
  double rope_theta = 0.0;
  // "default", and each scaling that the header gives parameters of.
  std::map<std::string, RopeScaling> scalings;
  // Every fp32, uint8 and int32 tensor of the file, by name.
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<uint8_t>> masks;  // [Hq, n, n]
  std::vector<int32_t> rows;  // of tensors named *_rows*

  int64_t num_tiles() const { return NumBlocks(tokens.len); }
  bool has_gate() const { return !gate.linear_k.empty(); }
  RopeConfig Rope(const std::string& scaling) const;
  // The tensor of that name, or null.
  const std::vector<float>* Floats(const std::string& tensor) const;
  const std::vector<uint8_t>* Mask(const std::string& tensor) const;
};

// INVALID_ARGUMENT: header or tensors are not of this form. Else the errors of
// SafetensorsFile::Open.
absl::StatusOr<GoldenLayer> LoadGoldenLayer(const std::string& path);

}  // namespace seer

#endif  // SEER_TESTS_GOLDEN_TESTS_GOLDEN_LAYER_H_
