// Sends a file to the server, however often the connection breaks.
#ifndef SEER_CLIENT_ADMIN_UPLOAD_BYTES_H_
#define SEER_CLIENT_ADMIN_UPLOAD_BYTES_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/admin/gate_admin_client.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// What a file is, beside its bytes.
struct UploadContent {
  v1::UploadKind kind = v1::UPLOAD_KIND_UNSPECIFIED;
  v1::UploadFormat format = v1::UPLOAD_FORMAT_UNSPECIFIED;
  std::string display_name;
  absl::Span<const uint8_t> bytes;  // borrowed
};

// Bytes sent, and of how many. After a broken stream it goes back to what the
// server has.
using UploadProgress = absl::FunctionRef<void(int64_t sent, int64_t size)>;

// Creates an upload, writes its bytes in chunks with their CRC-32C, finalizes
// it, and returns what came of it.
//
// A stream that breaks, that the server still thinks busy, or whose chunk
// arrived damaged is opened again at the server's committed size; tries are
// counted anew whenever bytes were committed. The upload's request_id is made
// from the content, so that the same call made again, also by another process,
// goes on where this one was interrupted (as long as the server keeps the
// upload), and answers the same where it had come to an end. An upload that
// failed, or whose dataset or gate set has been deleted or is damaged, is made
// anew, under a request_id that is made from its name too; so sending a gate
// set's file again mends it.
//
// The options' timeout is for each call: creating, writing, finalizing.
// Errors are those of the calls.
absl::StatusOr<v1::FinalizeUploadResponse> UploadBytes(
    const GateAdminClient& client, const UploadContent& content,
    UploadProgress on_progress, const CallOptions& options = {});

}  // namespace seer

#endif  // SEER_CLIENT_ADMIN_UPLOAD_BYTES_H_
