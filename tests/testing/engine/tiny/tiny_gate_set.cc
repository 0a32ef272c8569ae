#include "tests/testing/engine/tiny/tiny_gate_set.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/safetensors/safetensors.h"
#include "base/safetensors/safetensors_writer.h"
#include "base/status_macros.h"
#include "engine/gate/gate_design.h"

namespace seer {
namespace {

// Tensors in the making, with values uniform in a range.
class Tensors {
 public:
  explicit Tensors(uint64_t seed) : random_(seed) {}

  void AddUniform(const std::string& name, std::vector<int64_t> shape,
                  double low, double high) {
    size_t size = 1;
    for (const int64_t dim : shape) size *= dim;
    std::vector<float> values(size);
    for (float& value : values) {
      const double unit = static_cast<double>(random_() >> 11) * 0x1p-53;
      value = static_cast<float>(low + unit * (high - low));
    }
    Add(name, std::move(shape), values);
  }
  void Add(const std::string& name, std::vector<int64_t> shape,
           const std::vector<float>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    storage_.push_back(std::move(bytes));
    contents_.tensors[name] = {SafetensorsDtype::kF32, std::move(shape),
                               storage_.back()};
  }
  SafetensorsContents& contents() { return contents_; }

 private:
  std::mt19937_64 random_;
  std::deque<std::vector<uint8_t>> storage_;
  SafetensorsContents contents_;
};

}  // namespace

absl::Status WriteTinyGateSet(const std::string& path,
                              const TinyGateSetOptions& options) {
  const TinyLlamaOptions& model = options.model;
  Tensors tensors(options.seed);
  tensors.contents().metadata = {{"format_version", "1"},
                                 {"design", options.design},
                                 {"block_size", "64"},
                                 {"fingerprint", options.fingerprint}};
  const bool has_weights = HasWeights(options.design);
  if (has_weights) {
    SEER_ASSIGN_OR_RETURN(const GateDesign design,
                          ParseGateDesign(options.design));
    const bool double_linear =
        options.double_linear || design.query_pools.size() > 1;
    for (int32_t l = 0; l < model.num_layers; ++l) {
      const auto add = [&](const char* which, int64_t heads, int pools) {
        const double bound = std::sqrt(3.0 / (pools * model.head_dim));
        tensors.AddUniform(
            absl::StrCat("model.layers.", l,
                         ".self_attn.attn_gate.mask_linear_", which, ".weight"),
            {heads, int64_t{pools} * model.head_dim, model.head_dim}, -bound,
            bound);
      };
      if (double_linear) {
        add("q", model.num_query_heads, design.query_pools.size());
      }
      add("k", double_linear ? model.num_kv_heads : model.num_query_heads,
          design.key_pools.size());
    }
  }
  if (!has_weights || options.with_profile) {
    tensors.Add("budget_profile_densities", {2}, {0.25f, 0.5f});
    tensors.AddUniform("budget_profile",
                       {model.num_layers, model.num_query_heads, 2}, 0.1, 0.9);
  }
  return WriteSafetensors(path, tensors.contents());
}

}  // namespace seer
