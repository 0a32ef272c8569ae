// Flags of administration and of durable state.
#ifndef SEER_SERVER_FLAGS_ADMIN_FLAGS_H_
#define SEER_SERVER_FLAGS_ADMIN_FLAGS_H_

#include "absl/status/status.h"
#include "server/serve.h"

namespace seer {

// Sets `options->admin` and its port file, if there is any administration. Of
// gRPC it has its own address and what else `options->grpc` says.
// INVALID_ARGUMENT: a file that cannot be read or holds no token; flags of
// administration without
// --state_dir.
absl::Status ReadAdminFlags(ServeOptions* options);

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_ADMIN_FLAGS_H_
