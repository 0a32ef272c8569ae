// A command's dealings with the admin service.
#ifndef SEER_CLIENT_COMMANDS_ADMIN_ADMIN_SESSION_H_
#define SEER_CLIENT_COMMANDS_ADMIN_ADMIN_SESSION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/commands/command.h"
#include "client/connection/canceller.h"
#include "client/interrupts.h"
#include "client/output/result_json.h"

namespace seer {

// The rollout of the model served.
inline constexpr char kRolloutName[] = "models/-/gateRollout";

// The full name of a resource of which people gave the name or only the id.
std::string FullDatasetName(absl::string_view name_or_id);
std::string FullJobName(absl::string_view name_or_id);
std::string FullGateSetName(absl::string_view name_or_id);

// The calls of one command: signals cancel them while this lives.
class AdminSession {
 public:
  explicit AdminSession(const Session& session);
  AdminSession(const AdminSession&) = delete;
  AdminSession& operator=(const AdminSession&) = delete;

  const GateAdminClient& client() const { return session_.admin; }
  const CallOptions& options() const { return options_; }
  // To standard output: `json` with --json, else `text`.
  void Print(const Json& json, absl::string_view text) const;

 private:
  const Session& session_;
  Canceller canceller_;
  const Interrupts::Scope scope_;
  CallOptions options_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_ADMIN_SESSION_H_
