#ifndef SEER_SERVER_CODEC_POLICY_CODEC_H_
#define SEER_SERVER_CODEC_POLICY_CODEC_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/sparsity_policy.h"
#include "proto/seer/v1/sparsity.pb.h"

namespace seer {

// A policy as sent. `path` is the field it came from, for errors.
// INVALID_ARGUMENT with the field's path: a value out of its range or not a
// number, a gate or another option without a budget, an enum's unknown or
// UNSPECIFIED value in a oneof, a gate set name not of the form
// models/{model}/gateSets/{id}.
absl::StatusOr<SparsityPolicy> DecodePolicy(const v1::SparsityPolicy& policy,
                                            absl::string_view path);

// The kind of budget that a policy asks for, whatever its value.
BudgetKind AskedBudget(const v1::SparsityPolicy& policy);

// The inverse: DecodePolicy(EncodePolicy(p)) is p.
v1::SparsityPolicy EncodePolicy(const SparsityPolicy& policy);

// What was served. `requested` is left unset where the request had no policy of
// its own.
v1::SparsityReport EncodeReport(const SparsityReport& report,
                                bool policy_was_sent);

}  // namespace seer

#endif  // SEER_SERVER_CODEC_POLICY_CODEC_H_
