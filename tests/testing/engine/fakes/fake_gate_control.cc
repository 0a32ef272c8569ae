#include "tests/testing/engine/fakes/fake_gate_control.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/hash/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

constexpr absl::string_view kFirstLine = "a fake gate set";

std::string IdOf(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

}  // namespace

FakeGateControl::FakeGateControl(size_t num_slots)
    : engine_(nullptr),
      model_id_("m"),
      fingerprint_(64, 'f'),
      num_slots_(num_slots) {}

FakeGateControl::FakeGateControl(FakeEngine* engine, size_t num_slots)
    : engine_(engine),
      model_id_(engine->model().model_id),
      fingerprint_(engine->model().fingerprint),
      num_slots_(num_slots) {}

std::string FakeGateFile(absl::string_view design,
                         absl::string_view fingerprint,
                         absl::string_view content) {
  return absl::StrCat(kFirstLine, "\n", design, "\n", fingerprint, "\n",
                      content);
}

absl::StatusOr<GateFileFacts> FakeGateControl::Validate(
    const std::string& path) const {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, " is not there"));
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (absl::StartsWith(bytes, "wrong")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": layers.3.k: holds NaN"));
  }
  if (absl::StartsWith(bytes, "oracle")) {
    return WithReason(absl::FailedPreconditionError("oracles are not offered"),
                      {"ORACLE_NOT_ALLOWED", {}, {}});
  }
  GateFileFacts facts;
  facts.version =
      Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  facts.name = absl::StrCat("models/", model_id_, "/gateSets/sha256-",
                            facts.version.substr(0, 12));
  facts.design = "Qavg_Kmaxminavg";
  facts.fingerprint = fingerprint_;
  facts.has_profile = true;
  facts.num_bytes = static_cast<int64_t>(bytes.size());
  facts.target = "mass";
  facts.loss = "kl";
  facts.steps = 500;
  facts.tool_version = "fake";
  bool is_other = absl::StartsWith(bytes, "other");
  const std::vector<std::string> lines = absl::StrSplit(bytes, '\n');
  if (lines.size() >= 4 && lines[0] == kFirstLine) {
    facts.design = lines[1];
    is_other = lines[2] != fingerprint_;
  }
  if (is_other) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is another model's"));
  }
  return facts;
}

absl::StatusOr<GateFileFacts> FakeGateControl::Install(
    const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const GateFileFacts facts, Validate(path));
  MutexLock lock(&mutex_);
  if (sets_.count(facts.name) != 0) return facts;
  if (sets_.size() >= num_slots_) {
    const int64_t limit = static_cast<int64_t>(num_slots_);
    return WithReason(
        absl::ResourceExhaustedError("there is no room for a gate set"),
        {"GATE_SLOTS", limit, limit + 1});
  }
  sets_[facts.name] = facts;
  Done("install " + IdOf(facts.name));
  return facts;
}

absl::Status FakeGateControl::Remove(const std::string& name) {
  MutexLock lock(&mutex_);
  if (name == routing_.stable || name == routing_.canary) {
    return WithReason(absl::FailedPreconditionError("it is routed to"),
                      {"IN_USE", {}, {}});
  }
  if (sets_.erase(name) == 0) return absl::NotFoundError("it is not installed");
  Done("remove " + IdOf(name));
  return absl::OkStatus();
}

absl::Status FakeGateControl::SetRouting(const GateRouting& routing) {
  std::function<absl::Status(const GateRouting&)> hook;
  {
    MutexLock lock(&mutex_);
    hook = on_route_;
  }
  if (hook) SEER_RETURN_IF_ERROR(hook(routing));
  const double fraction = routing.canary_fraction;
  const bool is_in_range =
      fraction >= 0 && fraction <= (routing.canary.empty() ? 0 : 1);
  if (!is_in_range ||
      (!routing.canary.empty() && routing.canary == routing.stable)) {
    return absl::InvalidArgumentError("no such routing can be");
  }
  MutexLock lock(&mutex_);
  for (const std::string& name : {routing.stable, routing.canary}) {
    if (!name.empty() && sets_.count(name) == 0) {
      return absl::NotFoundError("it is not installed");
    }
  }
  routing_ = routing;
  Done(absl::StrCat("route ", IdOf(routing.stable), " ", IdOf(routing.canary),
                    " ", routing.canary_fraction));
  return absl::OkStatus();
}

GateRouting FakeGateControl::routing() const {
  MutexLock lock(&mutex_);
  return routing_;
}

std::vector<std::string> FakeGateControl::TakeCalls() {
  MutexLock lock(&mutex_);
  return std::exchange(calls_, {});
}

std::vector<std::string> FakeGateControl::installed() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, facts] : sets_) names.push_back(name);
  return names;
}

void FakeGateControl::OnRoute(
    std::function<absl::Status(const GateRouting&)> hook) {
  MutexLock lock(&mutex_);
  on_route_ = std::move(hook);
}

void FakeGateControl::Done(std::string call) {
  calls_.push_back(std::move(call));
  if (engine_ == nullptr) return;
  std::vector<GateSetInfo> infos;
  for (const auto& [name, facts] : sets_) {
    GateSetInfo info;
    info.name = name;
    info.design = facts.design;
    info.version = facts.version;
    info.has_profile = facts.has_profile;
    info.stable = name == routing_.stable;
    infos.push_back(std::move(info));
  }
  engine_->SetGateSets(std::move(infos));
}

}  // namespace seer
