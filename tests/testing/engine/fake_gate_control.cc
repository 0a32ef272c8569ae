#include "tests/testing/engine/fake_gate_control.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "engine/errors.h"

namespace seer {
namespace {

constexpr absl::string_view kFirstLine = "a fake gate set";

}  // namespace

std::string FakeGateFile(absl::string_view design,
                         absl::string_view fingerprint,
                         absl::string_view content) {
  return absl::StrCat(kFirstLine, "\n", design, "\n", fingerprint, "\n",
                      content);
}

absl::StatusOr<GateFileFacts> FakeGateControl::Validate(
    const std::string& path) const {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("there is no such file");
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const std::vector<std::string> lines = absl::StrSplit(bytes, '\n');
  if (lines.size() < 4 || lines[0] != kFirstLine) {
    return absl::InvalidArgumentError("tensor fake: it is no gate set file");
  }
  GateFileFacts facts;
  facts.version =
      Sha256Hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  facts.name = absl::StrCat("models/", engine_->model().model_id,
                            "/gateSets/sha256-", facts.version.substr(0, 12));
  facts.design = lines[1];
  facts.fingerprint = lines[2];
  facts.has_profile = true;
  facts.num_bytes = static_cast<int64_t>(bytes.size());
  facts.tool_version = "fake";
  if (facts.fingerprint != engine_->model().fingerprint) {
    return absl::FailedPreconditionError("it is for another base model");
  }
  return facts;
}

absl::StatusOr<GateFileFacts> FakeGateControl::Install(
    const std::string& path) {
  SEER_ASSIGN_OR_RETURN(const GateFileFacts facts, Validate(path));
  MutexLock lock(&mutex_);
  if (sets_.count(facts.name) == 0 &&
      static_cast<int64_t>(sets_.size()) >= num_slots_) {
    return WithReason(
        absl::ResourceExhaustedError("there is no room for a gate set"),
        {"GATE_SLOTS", num_slots_, num_slots_ + 1});
  }
  sets_[facts.name] = facts;
  TellEngine();
  return facts;
}

absl::Status FakeGateControl::Remove(const std::string& name) {
  MutexLock lock(&mutex_);
  if (name == routing_.stable || name == routing_.canary) {
    return WithReason(absl::FailedPreconditionError("it is routed to"),
                      {"IN_USE", {}, {}});
  }
  if (sets_.erase(name) == 0) return absl::NotFoundError("it is not installed");
  TellEngine();
  return absl::OkStatus();
}

absl::Status FakeGateControl::SetRouting(const GateRouting& routing) {
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
  TellEngine();
  return absl::OkStatus();
}

GateRouting FakeGateControl::routing() const {
  MutexLock lock(&mutex_);
  return routing_;
}

std::vector<std::string> FakeGateControl::installed() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, facts] : sets_) names.push_back(name);
  return names;
}

void FakeGateControl::TellEngine() {
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
