// How to reach the server: flags of every command.
#ifndef SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_
#define SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/connection/connection.h"
#include "client/flags/flag_set.h"

namespace seer {

// A server has a port for each.
enum class ServerPort { kCompletion, kGateAdmin };

class ConnectionFlags {
 public:
  // Flags to reach that port. Must outlive `flags`' Parse.
  void AddTo(ServerPort port, FlagSet* flags);

  // INVALID_ARGUMENT: flags that do not go together, or an empty token file; a
  // token that would cross a network in clear text.
  // NOT_FOUND: a file that cannot be read.
  absl::StatusOr<ClientOptions> Options() const;
  absl::Duration timeout() const { return timeout_; }

 private:
  std::string default_server_;
  std::string server_;
  absl::Duration timeout_ = absl::InfiniteDuration();
  int32_t retries_ = RetryOptions().max_attempts - 1;
  bool tls_ = false;
  std::string ca_file_;
  std::string cert_file_;
  std::string key_file_;
  std::string tls_server_name_;
  std::string admin_token_file_;
  bool allow_insecure_token_ = false;
};

// Whether a gRPC target names this machine by what cannot lead elsewhere: a
// unix socket, localhost, 127.0.0.0/8, ::1.
bool IsLocalTarget(absl::string_view target);

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_
