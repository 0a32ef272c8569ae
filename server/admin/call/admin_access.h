// Who may call GateAdminService, and what.
#ifndef SEER_SERVER_ADMIN_CALL_ADMIN_ACCESS_H_
#define SEER_SERVER_ADMIN_CALL_ADMIN_ACCESS_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"

namespace seer {

struct AdminAccessOptions {
  // Calls must carry it: "authorization: Bearer TOKEN". 16 to 4096 printable
  // ASCII characters without spaces. Empty: none is asked for.
  std::string token;
  // The methods that may be called, by their names in gate_admin.proto. Empty:
  // all.
  std::set<std::string> methods;

  // INVALID_ARGUMENT: a token out of its range, a method that does not exist.
  absl::Status Validate() const;
};

// Thread-safe.
class AdminAccess {
 public:
  // `options` must be valid.
  explicit AdminAccess(const AdminAccessOptions& options);

  // UNAUTHENTICATED: another token, or none. PERMISSION_DENIED: the method is
  // not among those allowed. Says no more than that. How long it takes depends
  // on no digit of the token.
  absl::Status Check(absl::string_view method,
                     const grpc::ServerContextBase& context) const;

 private:
  const bool has_token_;
  const std::string token_digest_;
  const std::set<std::string> methods_;
};

}  // namespace seer

#endif  // SEER_SERVER_ADMIN_CALL_ADMIN_ACCESS_H_
