// The tensors of a Llama checkpoint.
#ifndef SEER_ENGINE_WEIGHTS_LLAMA_TENSORS_H_
#define SEER_ENGINE_WEIGHTS_LLAMA_TENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/weights/model_config.h"

namespace seer {

// Shapes by Hugging Face's names: exactly the tensors that a forward pass
// reads. lm_head.weight is one where embeddings are not tied.
std::map<std::string, std::vector<int64_t>> LlamaTensorShapes(
    const ModelConfig& config);

// Whether a checkpoint may hold `name` although nothing reads it:
// lm_head.weight beside tied embeddings, and rotary inverse frequencies, which
// the config implies.
bool IsIgnoredTensor(absl::string_view name, const ModelConfig& config);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_LLAMA_TENSORS_H_
