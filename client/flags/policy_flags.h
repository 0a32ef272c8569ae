// The sparsity policy of a request, from flags.
#ifndef SEER_CLIENT_FLAGS_POLICY_FLAGS_H_
#define SEER_CLIENT_FLAGS_POLICY_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/flags/flag_set.h"
#include "proto/seer/v1/sparsity.pb.h"

namespace seer {

// Sets the policy's gate: "stable", "canary", "mean_pool", "oracle_max",
// "oracle_mass", or the name of a gate set, models/MODEL/gateSets/ID.
// INVALID_ARGUMENT: another word.
absl::Status SetGate(const std::string& gate, v1::SparsityPolicy* policy);

// Sets the policy's allocation: "uniform" or "profiled". INVALID_ARGUMENT:
// another word.
absl::Status SetAllocation(const std::string& allocation,
                           v1::SparsityPolicy* policy);

class PolicyFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // Unset where no flag was given: the server's default policy. Ranges are the
  // server's to check. INVALID_ARGUMENT: two budgets, an unknown allocation
  // or gate.
  absl::StatusOr<std::optional<v1::SparsityPolicy>> Policy() const;

 private:
  bool dense_ = false;
  std::optional<double> target_sparsity_;
  std::optional<int64_t> top_k_blocks_;
  std::optional<int64_t> token_budget_;
  std::optional<double> threshold_;
  std::string gate_;
  std::string allocation_;
  std::optional<int32_t> sink_blocks_;
  std::optional<int32_t> dense_last_blocks_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_POLICY_FLAGS_H_
