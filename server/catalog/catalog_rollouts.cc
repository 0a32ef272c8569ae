// Rollouts. The rollout of a model is its last revision: the state and its
// history are one row and cannot disagree.

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/catalog.h"
#include "server/catalog/refusals.h"

namespace seer {
namespace {

constexpr int64_t kMaxRevisions = 10'000;

bool SameRollout(const Rollout& a, const Rollout& b) {
  return a.stable == b.stable && a.canary == b.canary &&
         a.canary_fraction == b.canary_fraction && a.previous == b.previous;
}

absl::Status CheckEtag(absl::string_view etag, const Rollout& now) {
  if (etag == now.etag) return absl::OkStatus();
  return Refusal(
      absl::StatusCode::kAborted, "ETAG_MISMATCH",
      absl::StrCat("the rollout has changed: its etag is ", now.etag, " now"));
}

// What `change` makes of `now`, checked as far as it says by itself.
absl::StatusOr<Rollout> Changed(const Rollout& now,
                                const RolloutChange& change) {
  Rollout next = now;
  next.stable = change.stable.value_or(now.stable);
  next.canary = change.canary.value_or(now.canary);
  next.canary_fraction = change.canary_fraction.value_or(
      next.canary.empty() ? 0 : now.canary_fraction);
  // In this form it refuses NaN too.
  if (!(next.canary_fraction >= 0 && next.canary_fraction <= 1)) {
    return InvalidField("canary_fraction", "must be in [0, 1]");
  }
  if (next.canary.empty() && next.canary_fraction != 0) {
    return InvalidField("canary_fraction", "must be 0 without a canary");
  }
  if (!next.canary.empty() && next.canary == next.stable) {
    return InvalidField("canary", "is the stable gate set");
  }
  if (next.stable != now.stable) next.previous = now.stable;
  return next;
}

}  // namespace

Rollout WithoutUnusable(Rollout rollout,
                        const std::set<std::string>& unusable) {
  const auto is_unusable = [&](const std::string& id) {
    return unusable.count(id) != 0;
  };
  if (is_unusable(rollout.previous)) rollout.previous.clear();
  if (is_unusable(rollout.stable)) {
    rollout.stable = std::exchange(rollout.previous, "");
  }
  if (is_unusable(rollout.canary) || rollout.canary == rollout.stable) {
    rollout.canary.clear();
    rollout.canary_fraction = 0;
  }
  return rollout;
}

absl::StatusOr<Rollout> Catalog::GetRollout(absl::string_view model) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(const RevisionRow last,
                        LastRevision(*database_, model));
  return last.record.rollout;
}

absl::StatusOr<std::set<std::string>> Catalog::Models() {
  MutexLock lock(&mutex_);
  std::set<std::string> models;
  Query query(*database_,
              "SELECT model FROM gate_sets UNION "
              "SELECT model FROM rollout_revisions");
  while (query.Next()) models.insert(query.Text(0));
  SEER_RETURN_IF_ERROR(query.status());
  SEER_ASSIGN_OR_RETURN(const std::vector<JobRow> unfinished,
                        SelectJobs(*database_, "WHERE state <= 3"));
  for (const JobRow& row : unfinished) models.insert(row.record.spec.model);
  return models;
}

absl::StatusOr<Rollout> Catalog::Write(absl::string_view model, RevisionRow row,
                                       absl::Time now) {
  ++row.seq;
  row.record.rollout.update_time = now;
  row.record.rollout.etag = absl::StrCat("r", row.seq);
  Transaction transaction(*database_, "rollout.write");
  SEER_RETURN_IF_ERROR(transaction.status());
  SEER_RETURN_IF_ERROR(Insert(*database_, model, row));
  SEER_RETURN_IF_ERROR(Query(*database_,
                             "DELETE FROM rollout_revisions WHERE model = ? "
                             "AND revision <= ?",
                             model, row.seq - kMaxRevisions)
                           .Run());
  SEER_RETURN_IF_ERROR(transaction.Commit());
  return row.record.rollout;
}

absl::StatusOr<Rollout> Catalog::UpdateRollout(absl::string_view model,
                                               const RolloutChange& change,
                                               absl::Time now) {
  if (change.etag.empty()) return InvalidField("etag", "is required");
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(const RevisionRow last,
                        LastRevision(*database_, model));
  const Rollout& current = last.record.rollout;
  SEER_RETURN_IF_ERROR(CheckEtag(change.etag, current));
  SEER_ASSIGN_OR_RETURN(Rollout next, Changed(current, change));
  if (!next.stable.empty() && next.stable != current.stable) {
    SEER_RETURN_IF_ERROR(CheckActivatable(model, next.stable));
  }
  if (!next.canary.empty() && next.canary != current.canary) {
    SEER_RETURN_IF_ERROR(CheckActivatable(model, next.canary));
  }
  if (change.validate_only || SameRollout(next, current)) return next;
  return Write(model, {last.seq, {std::move(next), RolloutCause::kUpdate, ""}},
               now);
}

absl::StatusOr<Rollout> Catalog::RollBack(absl::string_view model,
                                          absl::string_view etag,
                                          bool validate_only, absl::Time now) {
  Rollout next;
  SEER_RETURN_IF_ERROR(Freeing([&]() -> absl::Status {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(const RevisionRow last,
                          LastRevision(*database_, model));
    const Rollout& current = last.record.rollout;
    if (!etag.empty()) SEER_RETURN_IF_ERROR(CheckEtag(etag, current));
    SEER_ASSIGN_OR_RETURN(next, RolledBack(model, current));
    if (validate_only) return absl::OkStatus();
    SEER_ASSIGN_OR_RETURN(
        next,
        Write(model, {last.seq, {next, RolloutCause::kRollback, ""}}, now));
    return absl::OkStatus();
  }));
  return next;
}

absl::StatusOr<Rollout> Catalog::RolledBack(absl::string_view model,
                                            Rollout rollout) {
  if (!rollout.canary.empty()) {
    rollout.canary.clear();
    rollout.canary_fraction = 0;
    return rollout;
  }
  if (rollout.stable.empty() && rollout.previous.empty()) {
    return Refusal(absl::StatusCode::kFailedPrecondition,
                   "NOTHING_TO_ROLL_BACK", "no gate set was ever stable");
  }
  if (!rollout.previous.empty()) {
    SEER_RETURN_IF_ERROR(CheckActivatable(model, rollout.previous));
  }
  std::swap(rollout.stable, rollout.previous);
  return rollout;
}

absl::StatusOr<Rollout> Catalog::FallBack(absl::string_view model,
                                          const std::set<std::string>& unusable,
                                          absl::string_view message,
                                          absl::Time now) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(const RevisionRow last,
                        LastRevision(*database_, model));
  const Rollout& current = last.record.rollout;
  Rollout next = WithoutUnusable(current, unusable);
  if (SameRollout(next, current)) return current;
  Log(LogLevel::kError, "catalog: gate sets cannot be used, falling back",
      {{"model", model},
       {"stable_was", current.stable},
       {"stable", next.stable},
       {"canary_was", current.canary},
       {"canary", next.canary},
       {"problem", message}});
  return Write(
      model,
      {last.seq,
       {std::move(next), RolloutCause::kFallback, std::string(message)}},
      now);
}

absl::StatusOr<Page<RolloutRevision>> Catalog::ListRolloutRevisions(
    absl::string_view model, const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<RevisionRow> rows,
                        RevisionPage(*database_, model, page));
  Page<RolloutRevision> revisions;
  for (RevisionRow& row : rows.items) {
    revisions.items.push_back(std::move(row.record));
  }
  revisions.next_token = std::move(rows.next_token);
  return revisions;
}

}  // namespace seer
