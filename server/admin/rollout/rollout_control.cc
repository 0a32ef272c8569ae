#include "server/admin/rollout/rollout_control.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/admin/codec/resource_names.h"

namespace seer {
namespace {

// Whether the gate set is to blame, and not the engine or the catalog.
bool IsUnusable(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsNotFound(status);
}

bool IsOfCaller(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status) || absl::IsAborted(status);
}

}  // namespace

absl::Status WithoutPath(const absl::Status& status, const std::string& path) {
  absl::Status out(
      status.code(),
      absl::StrReplaceAll(status.message(), {{path, "the gate set file"}}));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    out.SetPayload(type, payload);
  });
  return out;
}

RolloutControl::RolloutControl(Catalog* catalog, GateControl* gates,
                               AdminMetrics* metrics, std::string model,
                               std::string flag_file)
    : catalog_(catalog),
      gates_(gates),
      metrics_(metrics),
      model_(std::move(model)),
      flag_file_(std::move(flag_file)),
      flag_gate_set_(gates->routing().stable) {
  if (!flag_gate_set_.empty()) installed_.insert(flag_gate_set_);
}

absl::Status RolloutControl::WarnOfAnotherId() const {
  SEER_ASSIGN_OR_RETURN(const std::set<std::string> models, catalog_->Models());
  if (models.empty() || models.count(model_) != 0) return absl::OkStatus();
  Log(LogLevel::kError,
      "the state folder has gate sets, rollouts or jobs of other models only: "
      "none of them is served or goes on under this --model_id",
      {{"model_id", model_}, {"kept_for", absl::StrJoin(models, ", ")}});
  return absl::OkStatus();
}

absl::Status RolloutControl::Restore(absl::Time now) {
  MutexLock lock(&mutex_);
  SEER_RETURN_IF_ERROR(WarnOfAnotherId());
  SEER_ASSIGN_OR_RETURN(const Rollout wanted, catalog_->GetRollout(model_));
  // Nothing is submitted yet, so --gate_set's may make room.
  SEER_RETURN_IF_ERROR(gates_->SetRouting(GateRouting()));
  std::set<std::string> unusable;
  std::string message;
  for (const std::string& id :
       {wanted.stable, wanted.canary, wanted.previous}) {
    if (id.empty() || unusable.count(id) != 0) continue;
    // The previous one is there for comfort, unless it has to serve.
    const bool serves =
        id != wanted.previous || unusable.count(wanted.stable) != 0;
    const absl::Status loaded = Load(id, wanted, /*may_evict=*/serves);
    if (loaded.ok()) continue;
    if (absl::IsResourceExhausted(loaded) && !serves) continue;
    if (!IsUnusable(loaded)) return loaded;
    unusable.insert(id);
    absl::StrAppend(&message, message.empty() ? "" : "; ", id, ": ",
                    loaded.message());
  }
  const Rollout rollout =
      unusable.empty() ? wanted : FallBack(wanted, unusable, message, now);
  SEER_RETURN_IF_ERROR(LoadFlags(rollout));
  const GateRouting routing = RoutingOf(rollout);
  Log(LogLevel::kInfo, "gate sets restored",
      {{"stable", routing.stable},
       {"canary", routing.canary},
       {"canary_fraction", routing.canary_fraction},
       {"previous", rollout.previous}});
  return Follow(rollout);
}

Rollout RolloutControl::FallBack(const Rollout& wanted,
                                 const std::set<std::string>& unusable,
                                 const std::string& message, absl::Time now) {
  Log(LogLevel::kError, "gate sets of the rollout cannot be served",
      {{"problem", message}});
  metrics_->CountActivation(ActivationResult::kFallback);
  const absl::StatusOr<Rollout> fallen =
      catalog_->FallBack(model_, unusable, message, now);
  if (fallen.ok()) return *fallen;
  Log(LogLevel::kError, "the fallback is served, and could not be written down",
      {{"error", fallen.status().ToString()}});
  return WithoutUnusable(wanted, unusable);
}

absl::StatusOr<Rollout> RolloutControl::Update(const RolloutChange& change,
                                               absl::Time now) {
  MutexLock lock(&mutex_);
  return Counted(Change(change.validate_only,
                        [&](bool validate_only) {
                          RolloutChange asked = change;
                          asked.validate_only = validate_only;
                          return catalog_->UpdateRollout(model_, asked, now);
                        }),
                 change.validate_only);
}

absl::StatusOr<Rollout> RolloutControl::RollBack(absl::string_view etag,
                                                 bool validate_only,
                                                 absl::Time now) {
  MutexLock lock(&mutex_);
  return Counted(Change(validate_only,
                        [&](bool only) {
                          return catalog_->RollBack(model_, etag, only, now);
                        }),
                 validate_only);
}

absl::StatusOr<Rollout> RolloutControl::Counted(absl::StatusOr<Rollout> result,
                                                bool validate_only) {
  if (!validate_only) {
    metrics_->CountActivation(result.ok() ? ActivationResult::kOk
                              : IsOfCaller(result.status())
                                  ? ActivationResult::kRefused
                                  : ActivationResult::kFailed);
  }
  return result;
}

absl::StatusOr<Rollout> RolloutControl::Change(bool validate_only,
                                               const Write& write) {
  SEER_ASSIGN_OR_RETURN(const Rollout next, write(/*validate_only=*/true));
  const GateRouting routing = RoutingOf(next);
  if (!routing.canary.empty() && routing.canary == routing.stable) {
    return InvalidField("canary", "is the stable gate set");
  }
  absl::Status prepared = Prepare(next, validate_only);
  if (validate_only) {
    SEER_RETURN_IF_ERROR(prepared);
    return next;
  }
  absl::StatusOr<Rollout> written =
      prepared.ok() ? write(/*validate_only=*/false) : std::move(prepared);
  // After an error this takes back what was loaded for nothing.
  const absl::Status followed = Follow(written.ok() ? *written : serving_);
  SEER_RETURN_IF_ERROR(written.status());
  SEER_RETURN_IF_ERROR(followed);
  Log(LogLevel::kInfo, "the rollout has changed",
      {{"stable", routing.stable},
       {"canary", routing.canary},
       {"canary_fraction", routing.canary_fraction},
       {"previous", written->previous},
       {"etag", written->etag}});
  return written;
}

absl::Status RolloutControl::Prepare(const Rollout& next, bool validate_only) {
  for (const std::string& id : {next.stable, next.canary}) {
    const bool serves = id == serving_.stable || id == serving_.canary;
    if (id.empty() ||
        (serves && installed_.count(GateSetName(model_, id)) != 0)) {
      continue;
    }
    SEER_RETURN_IF_ERROR(validate_only ? Check(id)
                                       : Load(id, next, /*may_evict=*/true));
  }
  return validate_only ? absl::OkStatus() : LoadFlags(next);
}

absl::Status RolloutControl::Verify(const std::string& id) {
  absl::Status verified = catalog_->VerifyGateSet(id);
  if (!absl::IsInternal(verified)) return verified;
  Log(LogLevel::kError, "a gate set cannot be read",
      {{"gate_set", id}, {"error", verified.ToString()}});
  return WithReason(
      absl::FailedPreconditionError("the gate set's file cannot be read"),
      {"DAMAGED", {}, {}});
}

absl::Status RolloutControl::Check(const std::string& id) {
  SEER_RETURN_IF_ERROR(Verify(id));
  SEER_ASSIGN_OR_RETURN(const GateSetRecord gate_set, catalog_->GetGateSet(id));
  const absl::StatusOr<GateFileFacts> facts = gates_->Validate(gate_set.path);
  return facts.ok() ? absl::OkStatus() : Unusable(gate_set, facts.status());
}

absl::Status RolloutControl::Load(const std::string& id, const Rollout& next,
                                  bool may_evict) {
  SEER_RETURN_IF_ERROR(Verify(id));
  SEER_ASSIGN_OR_RETURN(const GateSetRecord gate_set, catalog_->GetGateSet(id));
  const absl::Status installed =
      Install(gate_set.path, next, may_evict).status();
  return installed.ok() ? installed : Unusable(gate_set, installed);
}

absl::Status RolloutControl::LoadFlags(const Rollout& next) {
  if (!next.stable.empty() || flag_gate_set_.empty() ||
      installed_.count(flag_gate_set_) != 0) {
    return absl::OkStatus();
  }
  const absl::StatusOr<GateFileFacts> facts =
      Install(flag_file_, next, /*may_evict=*/true);
  if (facts.ok() && facts->name == flag_gate_set_) return absl::OkStatus();
  if (absl::IsResourceExhausted(facts.status())) return facts.status();
  Log(LogLevel::kError, "the gate set of --gate_set does not load any more",
      {{"error", facts.ok() ? "another file" : facts.status().ToString()}});
  return WithReason(absl::FailedPreconditionError(
                        "the gate set of --gate_set does not load any more"),
                    {"GATE_SET_INVALID", {}, {}});
}

absl::StatusOr<GateFileFacts> RolloutControl::Install(const std::string& path,
                                                      const Rollout& next,
                                                      bool may_evict) {
  absl::StatusOr<GateFileFacts> facts = gates_->Install(path);
  // --gate_set's goes before the previous one, which a rollback needs.
  std::set<std::string> kept = {flag_gate_set_,
                                GateSetName(model_, serving_.previous),
                                GateSetName(model_, next.previous)};
  while (may_evict && absl::IsResourceExhausted(facts.status())) {
    if (RemoveUnneeded(next, kept)) facts = gates_->Install(path);
    if (kept.empty()) break;
    if (kept.erase(flag_gate_set_) == 0) kept.clear();
  }
  if (facts.ok()) installed_.insert(facts->name);
  return facts;
}

absl::Status RolloutControl::Unusable(const GateSetRecord& gate_set,
                                      const absl::Status& status) {
  const absl::Status told = WithoutPath(status, gate_set.path);
  const bool wrong = absl::IsInvalidArgument(status);
  if (wrong) {
    catalog_->MarkGateSetDamaged(gate_set,
                                 {"INVALID", std::string(told.message())});
  }
  // Verified a moment ago: it was deleted, or its disk goes.
  if (absl::IsNotFound(status)) {
    SEER_RETURN_IF_ERROR(catalog_->VerifyGateSet(gate_set.id));
    return absl::InternalError("a gate set's file comes and goes");
  }
  if (!wrong && !absl::IsFailedPrecondition(status)) return told;
  return WithResource(
      WithReason(absl::FailedPreconditionError(absl::StrCat(
                     "the gate set cannot be served: ", told.message())),
                 {"GATE_SET_INVALID", {}, {}}),
      "seer.v1.GateSet", gate_set.id);
}

GateRouting RolloutControl::RoutingOf(const Rollout& rollout) const {
  GateRouting routing;
  routing.stable = rollout.stable.empty() ? flag_gate_set_
                                          : GateSetName(model_, rollout.stable);
  routing.canary = GateSetName(model_, rollout.canary);
  routing.canary_fraction = rollout.canary_fraction;
  return routing;
}

absl::Status RolloutControl::Follow(const Rollout& rollout) {
  const absl::Status routed = gates_->SetRouting(RoutingOf(rollout));
  serving_ = rollout;
  ShowPrevious(rollout);
  in_step_ = routed.ok();
  if (!routed.ok()) {
    Log(LogLevel::kError, "the engine does not follow the rollout",
        {{"error", routed.ToString()}, {"etag", rollout.etag}});
    return absl::InternalError("the engine does not follow the rollout");
  }
  RemoveUnneeded(rollout,
                 {flag_gate_set_, GateSetName(model_, rollout.previous)});
  return absl::OkStatus();
}

bool RolloutControl::RemoveUnneeded(const Rollout& next,
                                    const std::set<std::string>& kept) {
  const GateRouting now = gates_->routing();
  const GateRouting then = RoutingOf(next);
  std::set<std::string> needed = {now.stable, now.canary, then.stable,
                                  then.canary};
  needed.insert(kept.begin(), kept.end());
  bool any = false;
  for (auto it = installed_.begin(); it != installed_.end();) {
    if (needed.count(*it) != 0) {
      ++it;
      continue;
    }
    const absl::Status removed = gates_->Remove(*it);
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      Log(LogLevel::kWarning, "a gate set stays on the device",
          {{"gate_set", *it}, {"error", removed.ToString()}});
      ++it;
      continue;
    }
    any = true;
    it = installed_.erase(it);
  }
  return any;
}

void RolloutControl::Reconcile() {
  MutexLock lock(&mutex_);
  if (in_step_) return;
  for (const std::string& id : {serving_.stable, serving_.canary}) {
    if (!id.empty()) (void)Load(id, serving_, /*may_evict=*/true);
  }
  (void)LoadFlags(serving_);
  (void)Follow(serving_);
}

bool RolloutControl::MakeRoom() {
  MutexLock lock(&mutex_);
  return RemoveUnneeded(serving_, {GateSetName(model_, serving_.previous)}) ||
         RemoveUnneeded(serving_, {});
}

void RolloutControl::ShowPrevious(const Rollout& rollout) {
  PreviousSet shown;
  if (!rollout.previous.empty()) {
    const absl::StatusOr<GateSetRecord> gate_set =
        catalog_->GetGateSet(rollout.previous);
    if (gate_set.ok()) {
      shown = {GateSetName(model_, gate_set->id), gate_set->sha256};
    }
  }
  MutexLock lock(&previous_mutex_);
  previous_ = std::move(shown);
}

RolloutControl::PreviousSet RolloutControl::previous() const {
  MutexLock lock(&previous_mutex_);
  return previous_;
}

}  // namespace seer
