#ifndef SEER_SERVER_GRPC_GRPC_LOG_H_
#define SEER_SERVER_GRPC_GRPC_LOG_H_

namespace seer {

// Sends the lines that gRPC would write to stderr in its own form through Log:
// its errors, which are seldom this process's, as warnings, the rest as debug.
// For the whole process; call it before gRPC is used.
void RouteGrpcLogs();

}  // namespace seer

#endif  // SEER_SERVER_GRPC_GRPC_LOG_H_
