// Changes which gate sets requests use, safely against others who do so too.
#ifndef SEER_CLIENT_ADMIN_ROLLOUT_CHANGE_H_
#define SEER_CLIENT_ADMIN_ROLLOUT_CHANGE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/admin/gate_admin_client.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// models/{model}/gateRollout, of the model of models/{model}/gateSets/{id}.
std::string RolloutOf(absl::string_view gate_set);

// Every function below reads the rollout, decides from it, and sends its etag
// along. Where the rollout changed in between it is read again: if it is what
// was wanted, that is the answer; if all that the decision rested on is as it
// was, the change is sent again; else ABORTED, saying what the rollout is now.
// Other errors are those of the calls.

struct ActivateOptions {
  // Unset: the set becomes stable, and ends the canary if it was that. Else it
  // becomes the canary of this share of the requests; range [0, 1].
  std::optional<double> canary_fraction;
  // Changes nothing: the rollout as it would be.
  bool validate_only = false;
};

// `gate_set`: models/{model}/gateSets/{id}.
absl::StatusOr<v1::GateRollout> ActivateGateSet(const GateAdminClient& client,
                                                const std::string& gate_set,
                                                const ActivateOptions& activate,
                                                const CallOptions& options);

// Makes the canary stable. FAILED_PRECONDITION: there is none. `rollout`:
// models/{model}/gateRollout.
absl::StatusOr<v1::GateRollout> PromoteCanary(const GateAdminClient& client,
                                              const std::string& rollout,
                                              const CallOptions& options);

// Takes back the last step, as RollbackGateRollout says; once, even where its
// answer is lost.
absl::StatusOr<v1::GateRollout> RollBack(const GateAdminClient& client,
                                         const std::string& rollout,
                                         const CallOptions& options);

}  // namespace seer

#endif  // SEER_CLIENT_ADMIN_ROLLOUT_CHANGE_H_
