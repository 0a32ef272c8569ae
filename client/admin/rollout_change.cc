#include "client/admin/rollout_change.h"

#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/connection/error_details.h"

namespace seer {
namespace {

using Stub = GateAdminClient::Stub;

// Of a change that meets other changes which change nothing for it.
constexpr int kMaxTries = 5;

bool IsConflict(const absl::Status& status) {
  return absl::IsAborted(status) && DetailsOf(status).reason == "ETAG_MISMATCH";
}

bool IsSame(const v1::GateRollout& a, const v1::GateRollout& b) {
  return a.stable() == b.stable() && a.canary() == b.canary() &&
         a.canary_fraction() == b.canary_fraction();
}

std::string OrNone(const std::string& name) {
  return name.empty() ? "none" : name;
}

absl::Status Conflict(const v1::GateRollout& now) {
  return absl::AbortedError(absl::StrCat(
      "the rollout was changed meanwhile: stable ", OrNone(now.stable()),
      ", canary ", OrNone(now.canary()), ", of ", now.canary_fraction(),
      " of the requests; nothing was changed by this call"));
}

// Neither has side effects but the call that `send` makes.
using Decide = absl::FunctionRef<absl::StatusOr<v1::GateRollout>(
    const v1::GateRollout& before)>;
using Send = absl::FunctionRef<absl::StatusOr<v1::GateRollout>(
    const v1::GateRollout& wanted)>;

// `decide` keeps the etag, `send` sends it along.
absl::StatusOr<v1::GateRollout> Apply(const GateAdminClient& client,
                                      const std::string& rollout,
                                      const CallOptions& options, Decide decide,
                                      Send send) {
  SEER_ASSIGN_OR_RETURN(v1::GateRollout before,
                        client.GetGateRollout(rollout, options));
  for (int tries = 1;; ++tries) {
    SEER_ASSIGN_OR_RETURN(const v1::GateRollout wanted, decide(before));
    absl::StatusOr<v1::GateRollout> after = send(wanted);
    if (after.ok() || !IsConflict(after.status())) return after;
    SEER_ASSIGN_OR_RETURN(v1::GateRollout now,
                          client.GetGateRollout(rollout, options));
    if (IsSame(now, wanted)) return now;
    if (!IsSame(now, before) || tries == kMaxTries) return Conflict(now);
    before = std::move(now);
  }
}

// The whole of it: its etag says that nobody else's change is undone.
absl::StatusOr<v1::GateRollout> Update(const GateAdminClient& client,
                                       const v1::GateRollout& wanted,
                                       bool validate_only,
                                       const CallOptions& options) {
  v1::UpdateGateRolloutRequest request;
  *request.mutable_gate_rollout() = wanted;
  request.set_validate_only(validate_only);
  return client.Call(&Stub::UpdateGateRollout, request, options);
}

void EndCanary(v1::GateRollout* rollout) {
  rollout->clear_canary();
  rollout->clear_canary_fraction();
}

v1::GateRollout Activated(v1::GateRollout rollout, const std::string& gate_set,
                          std::optional<double> canary_fraction) {
  if (canary_fraction.has_value()) {
    rollout.set_canary(gate_set);
    rollout.set_canary_fraction(*canary_fraction);
    return rollout;
  }
  rollout.set_stable(gate_set);
  if (rollout.canary() == gate_set) EndCanary(&rollout);
  return rollout;
}

v1::GateRollout RolledBack(v1::GateRollout rollout) {
  if (!rollout.canary().empty()) {
    EndCanary(&rollout);
  } else {
    rollout.mutable_stable()->swap(*rollout.mutable_previous());
  }
  return rollout;
}

}  // namespace

std::string RolloutOf(absl::string_view gate_set) {
  return absl::StrCat(gate_set.substr(0, gate_set.find("/gateSets/")),
                      "/gateRollout");
}

absl::StatusOr<v1::GateRollout> ActivateGateSet(const GateAdminClient& client,
                                                const std::string& gate_set,
                                                const ActivateOptions& activate,
                                                const CallOptions& options) {
  // By the server's own name for it, which the rollout has too.
  SEER_ASSIGN_OR_RETURN(const v1::GateSet found,
                        client.GetGateSet(gate_set, options));
  bool changes = true;
  return Apply(
      client, RolloutOf(found.name()), options,
      [&](const v1::GateRollout& before) -> absl::StatusOr<v1::GateRollout> {
        v1::GateRollout wanted =
            Activated(before, found.name(), activate.canary_fraction);
        changes = !IsSame(before, wanted);
        return wanted;
      },
      [&](const v1::GateRollout& wanted) -> absl::StatusOr<v1::GateRollout> {
        if (!changes && !activate.validate_only) return wanted;
        return Update(client, wanted, activate.validate_only, options);
      });
}

absl::StatusOr<v1::GateRollout> PromoteCanary(const GateAdminClient& client,
                                              const std::string& rollout,
                                              const CallOptions& options) {
  return Apply(
      client, rollout, options,
      [](const v1::GateRollout& before) -> absl::StatusOr<v1::GateRollout> {
        if (before.canary().empty()) {
          return absl::FailedPreconditionError(
              "there is no canary to be made stable");
        }
        return Activated(before, before.canary(), std::nullopt);
      },
      [&](const v1::GateRollout& wanted) {
        return Update(client, wanted, /*validate_only=*/false, options);
      });
}

absl::StatusOr<v1::GateRollout> RollBack(const GateAdminClient& client,
                                         const std::string& rollout,
                                         const CallOptions& options) {
  return Apply(
      client, rollout, options,
      [](const v1::GateRollout& before) -> absl::StatusOr<v1::GateRollout> {
        return RolledBack(before);
      },
      [&](const v1::GateRollout& wanted) {
        v1::RollbackGateRolloutRequest request;
        request.set_name(wanted.name());
        request.set_etag(wanted.etag());
        return client.Call(&Stub::RollbackGateRollout, request, options);
      });
}

}  // namespace seer
