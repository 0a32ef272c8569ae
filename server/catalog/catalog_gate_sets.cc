#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/refusals.h"

namespace seer {
namespace {

// As the engine names a gate set by its file.
std::string GateSetId(absl::string_view sha256) {
  return absl::StrCat("sha256-", sha256.substr(0, 12));
}

absl::Status Damaged(const Failure& damage) {
  return Refusal(absl::StatusCode::kFailedPrecondition, "DAMAGED",
                 absl::StrCat("the gate set is damaged: ", damage.reason, ", ",
                              damage.message));
}

}  // namespace

GateSetRecord Catalog::Filled(GateSetRow row) {
  row.record.damage = DamageOf(row.blob);
  row.record.path = blobs_.PathOf(row.blob);
  return std::move(row.record);
}

absl::Status Catalog::CheckRoomForGateSet() {
  SEER_ASSIGN_OR_RETURN(
      const int64_t count,
      CountOf("SELECT (SELECT count(*) FROM gate_sets) + (SELECT count(*) "
              "FROM uploads WHERE blob IS NOT NULL AND kind = 2) + (SELECT "
              "count(*) FROM jobs WHERE state <= 3)"));
  return CheckQuota("QUOTA_GATE_SETS", "gate sets", count + 1,
                    options_.max_gate_sets);
}

absl::StatusOr<GateSetRow> Catalog::Keep(GateSetRow row, std::string& unused) {
  row.record.id = GateSetId(row.record.sha256);
  absl::StatusOr<GateSetRow> earlier = FindGateSet(*database_, row.record.id);
  if (absl::IsNotFound(earlier.status())) {
    SEER_ASSIGN_OR_RETURN(const int64_t count,
                          CountOf("SELECT count(*) FROM gate_sets"));
    SEER_RETURN_IF_ERROR(CheckQuota("QUOTA_GATE_SETS", "gate sets", count + 1,
                                    options_.max_gate_sets));
    SEER_RETURN_IF_ERROR(Insert(*database_, row));
    return row;
  }
  SEER_RETURN_IF_ERROR(earlier.status());
  if (earlier->record.sha256 != row.record.sha256) {
    return absl::AlreadyExistsError(
        "another gate set has the same first digits of its digest");
  }
  unused = row.blob;
  if (DamageOf(earlier->blob)) {
    // The file comes anew: it takes the damaged one's place.
    std::swap(unused, earlier->blob);
    SEER_RETURN_IF_ERROR(Query(*database_,
                               "UPDATE gate_sets SET blob = ? WHERE seq = ?",
                               earlier->blob, earlier->seq)
                             .Run());
  }
  return *std::move(earlier);
}

absl::StatusOr<GateSetRecord> Catalog::GetGateSet(absl::string_view id) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(GateSetRow row, FindGateSet(*database_, id));
  return Filled(std::move(row));
}

absl::StatusOr<Page<GateSetRecord>> Catalog::ListGateSets(
    absl::string_view model, const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<GateSetRow> rows,
                        GateSetPage(*database_, model, page));
  Page<GateSetRecord> gate_sets;
  for (GateSetRow& row : rows.items) {
    gate_sets.items.push_back(Filled(std::move(row)));
  }
  gate_sets.next_token = std::move(rows.next_token);
  return gate_sets;
}

absl::Status Catalog::VerifyGateSet(absl::string_view id) {
  while (true) {
    GateSetRow read;
    {
      MutexLock lock(&mutex_);
      SEER_ASSIGN_OR_RETURN(read, FindGateSet(*database_, id));
    }
    const absl::StatusOr<std::string> digest = blobs_.DigestOf(read.blob);
    std::optional<Failure> found;
    if (absl::IsNotFound(digest.status())) {
      // Of a folder that cannot be read it is not known.
      SEER_RETURN_IF_ERROR(blobs_.List().status());
      found = Failure{"MISSING", "its file is missing"};
    } else {
      SEER_RETURN_IF_ERROR(digest.status());
      if (*digest != read.record.sha256) {
        found = Failure{"WRONG_DIGEST", "its file has another SHA-256"};
      }
    }
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(const GateSetRow now, FindGateSet(*database_, id));
    // One that was mended meanwhile is another file, to be read anew.
    if (now.blob != read.blob) continue;
    if (found) NoteUnusable(now, *found);
    const std::optional<Failure> damage = DamageOf(now.blob);
    return damage ? Damaged(*damage) : absl::OkStatus();
  }
}

void Catalog::MarkGateSetDamaged(const GateSetRecord& read,
                                 const Failure& damage) {
  MutexLock lock(&mutex_);
  const absl::StatusOr<GateSetRow> row = FindGateSet(*database_, read.id);
  if (!row.ok() || blobs_.PathOf(row->blob) != read.path) return;
  NoteUnusable(*row, damage);
}

void Catalog::NoteUnusable(const GateSetRow& row, const Failure& damage) {
  Log(LogLevel::kError, "catalog: a gate set cannot be used",
      {{"gate_set", row.record.id},
       {"reason", damage.reason},
       {"problem", damage.message}});
  damage_[row.blob] = damage;
}

absl::Status Catalog::DeleteGateSet(absl::string_view id) {
  std::string blob;
  SEER_RETURN_IF_ERROR(Freeing([&]() -> absl::Status {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(const GateSetRow row, FindGateSet(*database_, id));
    Query user(*database_,
               "SELECT model FROM rollout_revisions AS r WHERE ? IN (stable, "
               "canary, previous) AND revision = (SELECT max(revision) FROM "
               "rollout_revisions WHERE model = r.model)",
               id);
    if (user.Next()) {
      return Refusal(absl::StatusCode::kFailedPrecondition, "IN_USE",
                     absl::StrCat("the rollout of models/", user.Text(0),
                                  " has the gate set"));
    }
    SEER_RETURN_IF_ERROR(user.status());
    Transaction transaction(*database_, "catalog.delete");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_RETURN_IF_ERROR(
        Query(*database_, "DELETE FROM gate_sets WHERE seq = ?", row.seq)
            .Run());
    SEER_RETURN_IF_ERROR(transaction.Commit());
    damage_.erase(row.blob);
    blob = row.blob;
    return absl::OkStatus();
  }));
  Drop(blob);
  return absl::OkStatus();
}

absl::Status Catalog::CheckActivatable(absl::string_view model,
                                       const std::string& id) {
  SEER_ASSIGN_OR_RETURN(const GateSetRow row, FindGateSet(*database_, id));
  if (row.record.facts.model != model) return NotFound("GateSet", id);
  const std::optional<Failure> damage = DamageOf(row.blob);
  return damage ? Damaged(*damage) : absl::OkStatus();
}

}  // namespace seer
