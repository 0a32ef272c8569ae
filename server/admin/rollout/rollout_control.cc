#include "server/admin/rollout/rollout_control.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
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
                               AdminMetrics* metrics, std::string model)
    : catalog_(catalog),
      gates_(gates),
      metrics_(metrics),
      model_(std::move(model)),
      flag_gate_set_(gates->routing().stable) {}

absl::Status RolloutControl::Restore(absl::Time now) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(const Rollout wanted, catalog_->GetRollout(model_));
  std::set<std::string> unusable;
  std::string message;
  for (const std::string& id :
       {wanted.stable, wanted.canary, wanted.previous}) {
    if (id.empty() || unusable.count(id) != 0) continue;
    const absl::Status loaded = Load(id, wanted);
    if (loaded.ok()) continue;
    // The previous one is there for comfort, unless it has to serve.
    if (absl::IsResourceExhausted(loaded) && id == wanted.previous &&
        unusable.count(wanted.stable) == 0) {
      continue;
    }
    if (!IsUnusable(loaded)) return loaded;
    unusable.insert(id);
    absl::StrAppend(&message, message.empty() ? "" : "; ", id, ": ",
                    loaded.message());
  }
  Rollout rollout = wanted;
  if (!unusable.empty()) {
    Log(LogLevel::kError, "gate sets of the rollout cannot be served",
        {{"problem", message}});
    metrics_->CountActivation(ActivationResult::kFallback);
    absl::StatusOr<Rollout> fallen =
        catalog_->FallBack(model_, unusable, message, now);
    if (!fallen.ok()) {
      Log(LogLevel::kError,
          "the fallback is served, and could not be written down",
          {{"error", fallen.status().ToString()}});
      fallen = WithoutUnusable(wanted, unusable);
    }
    rollout = *std::move(fallen);
  }
  Log(LogLevel::kInfo, "gate sets restored",
      {{"stable", rollout.stable.empty() ? flag_gate_set_ : rollout.stable},
       {"canary", rollout.canary},
       {"canary_fraction", rollout.canary_fraction},
       {"previous", rollout.previous}});
  return Follow(rollout);
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
    if (id.empty() || (serves && installed_.count(id) != 0)) continue;
    SEER_RETURN_IF_ERROR(validate_only ? Check(id) : Load(id, next));
  }
  return absl::OkStatus();
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
  SEER_ASSIGN_OR_RETURN(const GateSet gate_set, catalog_->GetGateSet(id));
  const absl::StatusOr<GateFileFacts> facts = gates_->Validate(gate_set.path);
  return facts.ok() ? absl::OkStatus() : Unusable(gate_set, facts.status());
}

absl::Status RolloutControl::Load(const std::string& id, const Rollout& next) {
  SEER_RETURN_IF_ERROR(Verify(id));
  SEER_ASSIGN_OR_RETURN(const GateSet gate_set, catalog_->GetGateSet(id));
  absl::StatusOr<GateFileFacts> facts = gates_->Install(gate_set.path);
  for (const bool even_previous : {false, true}) {
    if (!absl::IsResourceExhausted(facts.status())) break;
    if (RemoveUnneeded(next, even_previous)) {
      facts = gates_->Install(gate_set.path);
    }
  }
  if (!facts.ok()) return Unusable(gate_set, facts.status());
  installed_.insert(id);
  return absl::OkStatus();
}

absl::Status RolloutControl::Unusable(const GateSet& gate_set,
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
  in_step_ = routed.ok();
  if (!routed.ok()) {
    Log(LogLevel::kError, "the engine does not follow the rollout",
        {{"error", routed.ToString()}, {"etag", rollout.etag}});
    return absl::InternalError("the engine does not follow the rollout");
  }
  RemoveUnneeded(rollout, /*even_previous=*/false);
  return absl::OkStatus();
}

bool RolloutControl::RemoveUnneeded(const Rollout& next, bool even_previous) {
  std::set<std::string> needed = {serving_.stable, serving_.canary, next.stable,
                                  next.canary};
  if (!even_previous) {
    needed.insert(serving_.previous);
    needed.insert(next.previous);
  }
  bool any = false;
  for (auto it = installed_.begin(); it != installed_.end();) {
    const std::string name = GateSetName(model_, *it);
    if (needed.count(*it) != 0 || name == flag_gate_set_) {
      ++it;
      continue;
    }
    const absl::Status removed = gates_->Remove(name);
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      Log(LogLevel::kWarning, "a gate set stays on the device",
          {{"gate_set", name}, {"error", removed.ToString()}});
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
    if (!id.empty()) (void)Load(id, serving_);
  }
  (void)Follow(serving_);
}

Rollout RolloutControl::serving() const {
  MutexLock lock(&mutex_);
  return serving_;
}

}  // namespace seer
