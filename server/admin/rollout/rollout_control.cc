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

// Whether `next` is `now`, of the same revision.
bool IsServedAs(const Rollout& next, const Rollout& now) {
  return next.etag == now.etag && next.stable == now.stable &&
         next.canary == now.canary;
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
  UnusableSets unusable;
  for (const std::string& id :
       {wanted.stable, wanted.canary, wanted.previous}) {
    if (id.empty() || unusable.all.count(id) != 0) continue;
    // The previous one is there for comfort, unless it has to serve.
    const bool serves =
        id != wanted.previous || unusable.all.count(wanted.stable) != 0;
    const absl::Status loaded = Load(id, wanted, /*may_evict=*/serves);
    if (loaded.ok()) continue;
    if (absl::IsResourceExhausted(loaded) && !serves) continue;
    if (!IsUnusable(loaded)) return loaded;
    unusable.all.insert(id);
    if (IsDamaged(id)) unusable.damaged.insert(id);
    absl::StrAppend(&unusable.message, unusable.message.empty() ? "" : "; ", id,
                    ": ", loaded.message());
  }
  not_served_ = unusable.all;
  const Rollout rollout =
      unusable.all.empty() ? wanted : FallBack(wanted, unusable, now);
  SEER_RETURN_IF_ERROR(LoadFlags(rollout));
  const GateRouting routing = RoutingOf(rollout);
  if (!flag_gate_set_.empty() && routing.stable != flag_gate_set_) {
    Log(LogLevel::kWarning,
        "--gate_set is not used: the rollout has a stable gate set",
        {{"gate_set", flag_gate_set_}, {"stable", routing.stable}});
  }
  Log(LogLevel::kInfo, "gate sets restored",
      {{"stable", routing.stable},
       {"canary", routing.canary},
       {"canary_fraction", routing.canary_fraction},
       {"previous", rollout.previous}});
  return Follow(rollout);
}

bool RolloutControl::IsDamaged(const std::string& id) {
  const absl::StatusOr<GateSetRecord> gate_set = catalog_->GetGateSet(id);
  return gate_set.ok() ? gate_set->damage.has_value()
                       : absl::IsNotFound(gate_set.status());
}

Rollout RolloutControl::FallBack(const Rollout& wanted,
                                 const UnusableSets& unusable, absl::Time now) {
  Log(LogLevel::kError, "gate sets of the rollout cannot be served",
      {{"problem", unusable.message}});
  metrics_->CountActivation(ActivationResult::kFallback);
  if (unusable.damaged.empty()) return WithoutUnusable(wanted, unusable.all);
  const absl::StatusOr<Rollout> fallen =
      catalog_->FallBack(model_, unusable.damaged, unusable.message, now);
  if (!fallen.ok()) {
    Log(LogLevel::kError,
        "the fallback is served, and could not be written down",
        {{"error", fallen.status().ToString()}});
  }
  return WithoutUnusable(fallen.ok() ? *fallen : wanted, unusable.all);
}

absl::StatusOr<Rollout> RolloutControl::Update(const RolloutChange& change,
                                               absl::Time now) {
  MutexLock lock(&mutex_);
  return Change({change.validate_only, /*is_rollback=*/false},
                [&](bool validate_only) {
                  RolloutChange asked = change;
                  asked.validate_only = validate_only;
                  return catalog_->UpdateRollout(model_, asked, now);
                });
}

absl::StatusOr<Rollout> RolloutControl::RollBack(absl::string_view etag,
                                                 bool validate_only,
                                                 absl::Time now) {
  MutexLock lock(&mutex_);
  return Change({validate_only, /*is_rollback=*/true}, [&](bool only) {
    return catalog_->RollBack(model_, etag, only, now);
  });
}

absl::StatusOr<Rollout> RolloutControl::Change(const Manner& manner,
                                               const Write& write) {
  const Rollout before = serving_;
  absl::StatusOr<Rollout> result = Apply(manner, write);
  // What is asked for again and served already is no change.
  if (manner.validate_only || (result.ok() && IsServedAs(*result, before))) {
    return result;
  }
  if (!result.ok()) {
    metrics_->CountActivation(IsOfCaller(result.status())
                                  ? ActivationResult::kRefused
                                  : ActivationResult::kFailed);
    return result;
  }
  metrics_->CountActivation(ActivationResult::kOk);
  const GateRouting routing = RoutingOf(serving_);
  Log(LogLevel::kInfo, "the rollout has changed",
      {{"stable", routing.stable},
       {"canary", routing.canary},
       {"canary_fraction", routing.canary_fraction},
       {"previous", result->previous},
       {"etag", result->etag}});
  return result;
}

absl::StatusOr<Rollout> RolloutControl::Apply(const Manner& manner,
                                              const Write& write) {
  SEER_ASSIGN_OR_RETURN(const Rollout next, write(/*validate_only=*/true));
  const GateRouting routing = RoutingOf(next);
  if (!routing.canary.empty() && routing.canary == routing.stable) {
    return InvalidField("canary", "is the stable gate set");
  }
  // A rollback that leaves the stable set alone does not need one that the
  // start could not load: what serves in its place goes on.
  std::set<std::string> left_out;
  if (manner.is_rollback && not_served_.count(next.stable) != 0) {
    SEER_ASSIGN_OR_RETURN(const Rollout now, catalog_->GetRollout(model_));
    if (now.stable == next.stable) left_out = not_served_;
  }
  const auto served = [&left_out](const Rollout& rollout) {
    return left_out.empty() ? rollout : WithoutUnusable(rollout, left_out);
  };
  absl::Status prepared = Prepare(served(next), manner);
  if (manner.validate_only) {
    SEER_RETURN_IF_ERROR(prepared);
    return next;
  }
  absl::StatusOr<Rollout> written =
      prepared.ok() ? write(/*validate_only=*/false) : std::move(prepared);
  // After an error this takes back what was loaded for nothing.
  const absl::Status followed =
      Follow(written.ok() ? served(*written) : serving_);
  SEER_RETURN_IF_ERROR(written.status());
  SEER_RETURN_IF_ERROR(followed);
  return written;
}

absl::Status RolloutControl::Prepare(const Rollout& next,
                                     const Manner& manner) {
  for (const std::string& id : {next.stable, next.canary}) {
    // A rollback is for when things go wrong, with the disk too: it takes what
    // it finds on the device.
    const bool trusted =
        manner.is_rollback || id == serving_.stable || id == serving_.canary;
    if (id.empty() ||
        (trusted && installed_.count(GateSetName(model_, id)) != 0)) {
      continue;
    }
    SEER_RETURN_IF_ERROR(
        manner.validate_only ? Check(id) : Load(id, next, /*may_evict=*/true));
  }
  return manner.validate_only ? absl::OkStatus() : LoadFlags(next);
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
  if (!installed.ok()) return Unusable(gate_set, installed);
  not_served_.erase(id);
  return absl::OkStatus();
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
  const auto given = ReasonOf(status);
  const bool is_oracle = given && given->reason == "ORACLE_NOT_ALLOWED";
  return WithResource(
      WithReason(absl::FailedPreconditionError(absl::StrCat(
                     "the gate set cannot be served: ", told.message())),
                 {is_oracle ? given->reason : "GATE_SET_INVALID", {}, {}}),
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

absl::Status RolloutControl::RemoveUnlessKept(const std::string& name) {
  MutexLock lock(&mutex_);
  return installed_.count(name) != 0 ? absl::OkStatus() : gates_->Remove(name);
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
