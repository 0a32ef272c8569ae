// Uploads and datasets between the wire and the catalog's records.
#ifndef SEER_SERVER_ADMIN_CODEC_UPLOAD_CODEC_H_
#define SEER_SERVER_ADMIN_CODEC_UPLOAD_CODEC_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/seer/v1/gate_admin.pb.h"
#include "server/catalog/records.h"

namespace seer {

// Of one WriteUploadRequest.
inline constexpr size_t kMaxChunkBytes = size_t{1} << 20;

// INVALID_ARGUMENT with the field's path.
absl::StatusOr<NewUpload> DecodeNewUpload(
    const v1::CreateUploadRequest& request);

// Whether a chunk is one: its size, and its CRC-32C. INVALID_ARGUMENT, with the
// field's path or CRC32C_MISMATCH.
absl::Status CheckChunk(const v1::WriteUploadRequest& chunk);

// `model` is the one served, of gate sets.
v1::Upload EncodeUpload(const Upload& upload, absl::string_view model);
v1::Dataset EncodeDataset(const Dataset& dataset);

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CODEC_UPLOAD_CODEC_H_
