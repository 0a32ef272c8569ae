// Which files hold a checkpoint's tensors.
#ifndef SEER_ENGINE_WEIGHTS_SHARD_INDEX_H_
#define SEER_ENGINE_WEIGHTS_SHARD_INDEX_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// model.safetensors.index.json: the file of each tensor, by the tensor's name.
// INVALID_ARGUMENT: not of that form, or a file's name that is not a plain
// *.safetensors in the same folder; it is named.
absl::StatusOr<std::map<std::string, std::string>> ParseShardIndex(
    absl::string_view text);

}  // namespace seer

#endif  // SEER_ENGINE_WEIGHTS_SHARD_INDEX_H_
