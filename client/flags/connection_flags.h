// How to reach the server: flags of every command.
#ifndef SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_
#define SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/completion_client.h"
#include "client/flags/flag_set.h"

namespace seer {

class ConnectionFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // INVALID_ARGUMENT: flags that do not go together. NOT_FOUND: a file that
  // cannot be read.
  absl::StatusOr<ClientOptions> Options() const;
  absl::Duration timeout() const { return timeout_; }

 private:
  std::string server_ = ClientOptions().target;
  absl::Duration timeout_ = absl::InfiniteDuration();
  int32_t retries_ = RetryOptions().max_attempts - 1;
  bool tls_ = false;
  std::string ca_file_;
  std::string cert_file_;
  std::string key_file_;
  std::string tls_server_name_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_CONNECTION_FLAGS_H_
