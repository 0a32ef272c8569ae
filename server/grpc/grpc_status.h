#ifndef SEER_SERVER_GRPC_GRPC_STATUS_H_
#define SEER_SERVER_GRPC_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace seer {

// A status as gRPC sends it: code, message, and in the trailing metadata a
// google.rpc.Status whose details are made from the facts of engine/errors.h:
//   InvalidField    BadRequest with the field's path, which also begins the
//                   message: few clients read details
//   WithReason      ErrorInfo, domain "seer"; metadata "limit" and "got"
//   WithRetryDelay  RetryInfo
//   WithResource    ResourceInfo
// and, where `request_id` is not empty, RequestInfo.
//
// Messages leak nothing: those of INTERNAL, UNKNOWN and DATA_LOSS, whose words
// were not meant for clients, are replaced, and logged under the request's id.
// Any message is cut at 512 bytes, so that it fits into clients' metadata.
grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view request_id);

// Gives UNAVAILABLE, and RESOURCE_EXHAUSTED that has no reason of its own (a
// request that would fail again has one), a retry delay of a second where they
// have none.
absl::Status WithDefaultRetryDelay(absl::Status status);

}  // namespace seer

#endif  // SEER_SERVER_GRPC_GRPC_STATUS_H_
