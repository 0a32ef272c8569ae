// What a server's error says beside its code and message, as an absl::Status
// carries it through the client.
#ifndef SEER_CLIENT_CONNECTION_ERROR_DETAILS_H_
#define SEER_CLIENT_CONNECTION_ERROR_DETAILS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace seer {

// Empty members: the server did not say.
struct ErrorDetails {
  struct Field {
    std::string path;         // of CompleteRequest, "sparsity.target_sparsity"
    std::string description;  // what is wrong with it
  };
  std::vector<Field> fields;                    // google.rpc.BadRequest
  std::string reason;                           // google.rpc.ErrorInfo
  std::map<std::string, std::string> metadata;  // of the reason: limit, got
  std::optional<absl::Duration> retry_delay;    // google.rpc.RetryInfo
  std::string resource_type;                    // google.rpc.ResourceInfo
  std::string resource_name;
  std::string request_id;  // google.rpc.RequestInfo
};

// Code and message of `status`; each detail of the google.rpc.Status in its
// trailing metadata becomes a payload under its type URL. Details that cannot
// be parsed are left out.
absl::Status StatusFromGrpc(const grpc::Status& status);

// The details of a status made by StatusFromGrpc. Unknown payloads are left
// out.
ErrorDetails DetailsOf(const absl::Status& status);

// `status` with a machine-readable reason and its facts, for DetailsOf. Not for
// OK.
absl::Status WithErrorInfo(absl::Status status, const std::string& reason,
                           const std::map<std::string, std::string>& metadata);

// `status` with "; " and `note` after its message, and all its details. Not for
// OK.
absl::Status WithNote(const absl::Status& status, absl::string_view note);

// One line for a person, without a trailing newline, control characters
// escaped: "INVALID_ARGUMENT: sparsity.target_sparsity must be in [0, 1), is
// 1.5". Facts that the message does not name follow in brackets.
std::string DescribeError(const absl::Status& status);

}  // namespace seer

#endif  // SEER_CLIENT_CONNECTION_ERROR_DETAILS_H_
