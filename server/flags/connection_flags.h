// Where gRPC is served, and the limits of its connections.
#ifndef SEER_SERVER_FLAGS_CONNECTION_FLAGS_H_
#define SEER_SERVER_FLAGS_CONNECTION_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/grpc/grpc_server.h"

namespace seer {

// INVALID_ARGUMENT: a file that cannot be read; a value out of its range.
absl::StatusOr<GrpcServer::Options> ReadConnectionFlags();

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_CONNECTION_FLAGS_H_
