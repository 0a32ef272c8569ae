#include "engine/gate/oracle.h"

#include "absl/strings/str_cat.h"
#include "engine/errors.h"

namespace seer {

Oracle OracleNamed(absl::string_view name) {
  if (name == kOracleMaxName) return Oracle::kMax;
  if (name == kOracleMassName) return Oracle::kMass;
  return Oracle::kNone;
}

absl::Status OracleNotAllowed(absl::string_view name) {
  return WithReason(
      WithResource(absl::FailedPreconditionError(absl::StrCat(
                       "this server does not offer ", name,
                       ": oracle gates are for comparison, start one with "
                       "--allow_oracle_gates")),
                   "seer.v1.BuiltinGate", name),
      {"ORACLE_NOT_ALLOWED", std::nullopt, std::nullopt});
}

}  // namespace seer
