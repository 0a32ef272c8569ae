#ifndef SEER_BASE_SAFETENSORS_SAFETENSORS_WRITER_H_
#define SEER_BASE_SAFETENSORS_SAFETENSORS_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/safetensors/safetensors.h"

namespace seer {

// The bytes of a file of `contents`. Equal contents give equal files: tensors
// are laid out by falling element size, then by name, and the data start at a
// multiple of 64, so every tensor is aligned.
// INVALID_ARGUMENT: a tensor's bytes disagree with its shape, a string is not
// UTF-8, a tensor is called "__metadata__", or the header gets too long.
absl::StatusOr<std::string> SerializeSafetensors(
    const SafetensorsContents& contents);

// Writes those bytes to `path` atomically (see atomic_file.h), without a copy
// of them all.
absl::Status WriteSafetensors(const std::string& path,
                              const SafetensorsContents& contents);

}  // namespace seer

#endif  // SEER_BASE_SAFETENSORS_SAFETENSORS_WRITER_H_
