#include "tests/testing/engine/recorded_gates.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

std::string IdOf(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

}  // namespace

absl::StatusOr<GateFileFacts> RecordedGates::Validate(
    const std::string& path) const {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, " is not there"));
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (absl::StartsWith(bytes, "wrong")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": layers.3.k: holds NaN"));
  }
  if (absl::StartsWith(bytes, "other")) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is another model's"));
  }
  if (absl::StartsWith(bytes, "oracle")) {
    return WithReason(absl::FailedPreconditionError("oracles are not offered"),
                      {"ORACLE_NOT_ALLOWED", {}, {}});
  }
  GateFileFacts facts;
  facts.version =
      Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  facts.name = "models/m/gateSets/sha256-" + facts.version.substr(0, 12);
  facts.design = "Qavg_Kmaxminavg";
  facts.fingerprint = std::string(64, 'f');
  facts.has_profile = true;
  facts.num_bytes = static_cast<int64_t>(bytes.size());
  facts.target = "mass";
  facts.loss = "kl";
  facts.steps = 500;
  return facts;
}

absl::StatusOr<GateFileFacts> RecordedGates::Install(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(GateFileFacts facts, Validate(path));
  MutexLock lock(&mutex_);
  if (installed_.count(facts.name) != 0) return facts;
  if (installed_.size() >= num_slots_) {
    return WithReason(absl::ResourceExhaustedError("no room for a gate set"),
                      {"GATE_SLOTS", {}, {}});
  }
  calls_.push_back("install " + IdOf(facts.name));
  installed_[facts.name] = facts;
  return facts;
}

absl::Status RecordedGates::Remove(const std::string& name) {
  MutexLock lock(&mutex_);
  if (name == routing_.stable || name == routing_.canary) {
    return WithReason(absl::FailedPreconditionError("it is routed to"),
                      {"IN_USE", {}, {}});
  }
  if (installed_.erase(name) == 0) return absl::NotFoundError("not installed");
  calls_.push_back("remove " + IdOf(name));
  return absl::OkStatus();
}

absl::Status RecordedGates::SetRouting(const GateRouting& routing) {
  std::function<absl::Status(const GateRouting&)> hook;
  {
    MutexLock lock(&mutex_);
    hook = on_route_;
  }
  if (hook) SEER_RETURN_IF_ERROR(hook(routing));
  MutexLock lock(&mutex_);
  for (const std::string& name : {routing.stable, routing.canary}) {
    if (!name.empty() && installed_.count(name) == 0) {
      return absl::NotFoundError("a gate set is not installed");
    }
  }
  calls_.push_back(absl::StrCat("route ", IdOf(routing.stable), " ",
                                IdOf(routing.canary), " ",
                                routing.canary_fraction));
  routing_ = routing;
  return absl::OkStatus();
}

GateRouting RecordedGates::routing() const {
  MutexLock lock(&mutex_);
  return routing_;
}

std::vector<std::string> RecordedGates::TakeCalls() {
  MutexLock lock(&mutex_);
  return std::exchange(calls_, {});
}

std::vector<std::string> RecordedGates::installed() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, facts] : installed_) names.push_back(name);
  return names;
}

void RecordedGates::OnRoute(
    std::function<absl::Status(const GateRouting&)> hook) {
  MutexLock lock(&mutex_);
  on_route_ = std::move(hook);
}

}  // namespace seer
