// A model's weights, mapped from the safetensors files of its folder.
#ifndef SEER_ENGINE_WEIGHTS_WEIGHT_FILES_H_
#define SEER_ENGINE_WEIGHTS_WEIGHT_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/weights/model_config.h"

namespace seer {

enum class WeightDType { kFloat32, kFloat16, kBFloat16 };

// One tensor, row-major, borrowed from the WeightFiles it came from.
struct Weight {
  std::string name;
  WeightDType dtype = WeightDType::kBFloat16;
  std::vector<int64_t> shape;
  const void* values = nullptr;  // may be unaligned for its type
  int64_t num_values = 0;
  int64_t num_bytes = 0;
};

// All tensors of a Llama model: exactly those its config asks for, each of the
// right shape, bf16, f16 or f32. Immutable, thread-safe.
//
//   SEER_ASSIGN_OR_RETURN(auto config, LoadModelConfig(folder));
//   SEER_ASSIGN_OR_RETURN(auto weights, WeightFiles::Open(folder, config));
//   const Weight& q = weights->Get("model.layers.0.self_attn.q_proj.weight");
class WeightFiles {
 public:
  // Maps model.safetensors, or the shards that model.safetensors.index.json
  // names. Tolerated beside the expected tensors, and not offered:
  // lm_head.weight of the right shape where embeddings are tied, and rotary
  // inverse frequencies (`*.rotary_emb.inv_freq`), which the config implies.
  // Values are not read yet; see CheckFinite.
  // NOT_FOUND: no weight file, or a shard is missing. INVALID_ARGUMENT: a file
  // that is no safetensors, a tensor that is missing, unknown, doubled, of the
  // wrong shape or of another dtype, an index that disagrees with its shards or
  // names a file outside the folder. Messages name the tensor or file.
  static absl::StatusOr<std::unique_ptr<const WeightFiles>> Open(
      const std::string& folder, const ModelConfig& config);

  ~WeightFiles();
  WeightFiles(const WeightFiles&) = delete;
  WeightFiles& operator=(const WeightFiles&) = delete;

  // The tensor of that name. `name` must be one of weights(): CHECKed.
  const Weight& Get(absl::string_view name) const;

  // By name. lm_head.weight is there exactly where embeddings are not tied.
  const std::map<std::string, Weight, std::less<>>& weights() const {
    return weights_;
  }

  // Reads every value. INVALID_ARGUMENT: one is infinite or not a number; the
  // tensor and the index are named.
  absl::Status CheckFinite() const;

  // Bytes of all weights.
  int64_t num_bytes() const;

 private:
  class Files;
  WeightFiles();

  std::unique_ptr<Files> files_;  // the mappings
  std::map<std::string, Weight, std::less<>> weights_;
};

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_WEIGHT_FILES_H_
