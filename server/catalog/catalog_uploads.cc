// Uploads. Whoever works at an upload's file has its turn, so that the lock is
// not held while the disk works.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/catalog.h"
#include "server/catalog/refusals.h"
#include "server/random_id.h"

namespace seer {
namespace {

bool SameUpload(const NewUpload& a, const NewUpload& b) {
  return a.kind == b.kind && a.format == b.format && a.size == b.size &&
         a.sha256 == b.sha256 && a.display_name == b.display_name;
}

absl::Status HasEnded(const Upload& upload) {
  return Refusal(absl::StatusCode::kFailedPrecondition, "UPLOAD_ENDED",
                 upload.failure ? absl::StrCat("the upload failed: ",
                                               upload.failure->message)
                                : "the upload is finalized");
}

// OUT_OF_RANGE, with what would have been right.
absl::Status OutOfRange(const char* reason, const char* message, int64_t limit,
                        int64_t got) {
  return WithReason(absl::OutOfRangeError(message), {reason, limit, got});
}

}  // namespace

Upload Catalog::Filled(UploadRow row) {
  if (const std::optional<Failure> damage = DamageOf(row.blob)) {
    row.record.state = UploadState::kFailed;
    row.record.failure = damage;
  }
  return std::move(row.record);
}

absl::Status Catalog::CheckUploadQuotas(const NewUpload& spec) {
  SEER_RETURN_IF_ERROR(CheckQuota("QUOTA_BYTES", "bytes in one upload",
                                  spec.size, options_.max_upload_bytes));
  SEER_ASSIGN_OR_RETURN(
      const int64_t num_open,
      CountOf("SELECT count(*) FROM uploads WHERE blob IS NOT NULL"));
  SEER_RETURN_IF_ERROR(CheckQuota("QUOTA_UPLOADS", "open uploads", num_open + 1,
                                  options_.max_open_uploads));
  if (spec.kind == UploadKind::kDataset) {
    SEER_ASSIGN_OR_RETURN(
        const int64_t count,
        CountOf("SELECT (SELECT count(*) FROM datasets) + (SELECT count(*) "
                "FROM uploads WHERE blob IS NOT NULL AND kind = 1)"));
    SEER_RETURN_IF_ERROR(CheckQuota("QUOTA_DATASETS", "datasets", count + 1,
                                    options_.max_datasets));
  } else {
    SEER_RETURN_IF_ERROR(CheckRoomForGateSet());
  }
  SEER_ASSIGN_OR_RETURN(
      const int64_t num_bytes,
      CountOf("SELECT total(size) FROM ("
              "SELECT size FROM uploads WHERE blob IS NOT NULL UNION ALL "
              "SELECT size FROM datasets UNION ALL "
              "SELECT size FROM gate_sets UNION ALL "
              "SELECT checkpoint_size FROM jobs)"));
  return CheckQuota("QUOTA_BYTES", "bytes in all", num_bytes + spec.size,
                    options_.max_total_bytes);
}

absl::StatusOr<Upload> Catalog::CreateUpload(const NewUpload& spec,
                                             absl::Time now) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(std::optional<UploadRow> earlier,
                        FindUploadByRequest(*database_, spec.request_id));
  if (earlier.has_value()) {
    if (!SameUpload(earlier->record.spec, spec)) {
      return InvalidField("request_id", "is that of another upload");
    }
    return Filled(*std::move(earlier));
  }
  SEER_RETURN_IF_ERROR(CheckUploadQuotas(spec));
  UploadRow row;
  row.record.id = NewRandomId();
  row.record.spec = spec;
  row.record.create_time = now;
  row.record.expire_time = now + options_.upload_lifetime;
  row.blob = NewRandomId();
  Transaction transaction(*database_, "upload.create");
  SEER_RETURN_IF_ERROR(transaction.status());
  SEER_RETURN_IF_ERROR(Insert(*database_, row));
  SEER_RETURN_IF_ERROR(
      Query(*database_,
            "DELETE FROM uploads WHERE seq IN (SELECT seq FROM uploads WHERE "
            "blob IS NULL ORDER BY expire_time DESC, seq DESC LIMIT -1 OFFSET "
            "?)",
            options_.max_ended_uploads)
          .Run());
  SEER_RETURN_IF_ERROR(transaction.Commit());
  return row.record;
}

absl::StatusOr<Catalog::Turn> Catalog::BeginTurn(absl::string_view id) {
  MutexLock lock(&mutex_);
  Turn turn;
  SEER_ASSIGN_OR_RETURN(turn.row, FindUpload(*database_, id));
  Appending& appending = appending_[turn.row.record.id];
  if (appending.busy) {
    return Refusal(absl::StatusCode::kAborted, "UPLOAD_BUSY",
                   "another call works at this upload");
  }
  appending.busy = true;
  turn.row.record = Filled(turn.row);
  turn.end = std::max(appending.end, turn.row.record.committed_size);
  return turn;
}

void Catalog::EndTurn(const Turn& turn) {
  MutexLock lock(&mutex_);
  if (turn.row.blob.empty() || turn.end == turn.row.record.committed_size) {
    appending_.erase(turn.row.record.id);
  } else {
    appending_[turn.row.record.id] = {turn.end, /*busy=*/false};
  }
}

absl::Status Catalog::Commit(Turn& turn, absl::Time now) {
  Upload& upload = turn.row.record;
  if (turn.end == upload.committed_size) return absl::OkStatus();
  UploadRow next = turn.row;
  next.record.committed_size = std::exchange(turn.end, upload.committed_size);
  next.record.expire_time = now + options_.upload_lifetime;
  // After a failed sync nobody knows what is on disk: a later one that succeeds
  // would prove nothing, so the client writes from the committed size again.
  SEER_RETURN_IF_ERROR(blobs_.Sync(turn.row.blob));
  {
    MutexLock lock(&mutex_);
    Transaction transaction(*database_, "upload.commit");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_RETURN_IF_ERROR(Update(*database_, next));
    SEER_RETURN_IF_ERROR(transaction.Commit());
  }
  turn.row = std::move(next);
  turn.end = turn.row.record.committed_size;
  return absl::OkStatus();
}

absl::Status Catalog::Renew(Turn& turn, absl::Time now) {
  UploadRow next = turn.row;
  next.record.expire_time = now + options_.upload_lifetime;
  if (next.record.expire_time == turn.row.record.expire_time) {
    return absl::OkStatus();
  }
  MutexLock lock(&mutex_);
  Transaction transaction(*database_, "upload.renew");
  SEER_RETURN_IF_ERROR(transaction.status());
  SEER_RETURN_IF_ERROR(Update(*database_, next));
  SEER_RETURN_IF_ERROR(transaction.Commit());
  turn.row = std::move(next);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Catalog::AppendToUpload(absl::string_view id,
                                                int64_t offset,
                                                absl::string_view bytes,
                                                absl::Time now) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  const Upload& upload = turn.row.record;
  if (upload.state != UploadState::kReceiving) return HasEnded(upload);
  if (offset != turn.end && offset != upload.committed_size) {
    return OutOfRange("UPLOAD_OFFSET",
                      "the chunk does not begin where the "
                      "bytes before it end",
                      turn.end, offset);
  }
  const int64_t size = static_cast<int64_t>(bytes.size());
  if (size > upload.spec.size - offset) {
    return OutOfRange("UPLOAD_SIZE", "the chunk ends after the upload's size",
                      upload.spec.size, offset + size);
  }
  if (bytes.empty()) return turn.end;
  turn.end = upload.committed_size;  // until the bytes are there
  {
    // What is cut off now may have been counted by a commit that failed.
    MutexLock lock(&mutex_);
    SEER_RETURN_IF_ERROR(database_->Settle());
  }
  SEER_RETURN_IF_ERROR(blobs_.Append(turn.row.blob, offset, bytes));
  turn.end = offset + size;
  if (turn.end - upload.committed_size >= options_.sync_bytes) {
    SEER_RETURN_IF_ERROR(Commit(turn, now));
  }
  return turn.end;
}

absl::StatusOr<Upload> Catalog::CommitUpload(absl::string_view id,
                                             absl::Time now) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  if (turn.row.record.state != UploadState::kReceiving) {
    return HasEnded(turn.row.record);
  }
  SEER_RETURN_IF_ERROR(Commit(turn, now));
  return turn.row.record;
}

absl::StatusOr<Upload> Catalog::GetUpload(absl::string_view id) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(UploadRow row, FindUpload(*database_, id));
  return Filled(std::move(row));
}

absl::StatusOr<Page<Upload>> Catalog::ListUploads(const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<UploadRow> rows, UploadPage(*database_, page));
  Page<Upload> uploads;
  for (UploadRow& row : rows.items) {
    uploads.items.push_back(Filled(std::move(row)));
  }
  uploads.next_token = std::move(rows.next_token);
  return uploads;
}

absl::Status Catalog::DeleteUpload(absl::string_view id) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  return Delete(turn);
}

absl::Status Catalog::Delete(Turn& turn) {
  SEER_RETURN_IF_ERROR(Freeing([&]() -> absl::Status {
    MutexLock lock(&mutex_);
    Transaction transaction(*database_, "upload.delete");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_RETURN_IF_ERROR(
        Query(*database_, "DELETE FROM uploads WHERE seq = ?", turn.row.seq)
            .Run());
    SEER_RETURN_IF_ERROR(transaction.Commit());
    damage_.erase(turn.row.blob);
    return absl::OkStatus();
  }));
  Drop(std::exchange(turn.row.blob, ""));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Catalog::ExpireUploads(absl::Time now) {
  reserve_.Take();  // what Freeing gave back
  std::vector<UploadRow> rows;
  {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(rows,
                          SelectUploads(*database_, "WHERE expire_time <= ?",
                                        absl::ToUnixMicros(now)));
  }
  int64_t num_deleted = 0;
  for (const UploadRow& row : rows) {
    absl::StatusOr<Turn> turn = BeginTurn(row.record.id);
    // One that somebody works at, or has just deleted, is none of ours.
    if (absl::IsAborted(turn.status()) || absl::IsNotFound(turn.status())) {
      continue;
    }
    SEER_RETURN_IF_ERROR(turn.status());
    const absl::Cleanup end_turn = [&] { EndTurn(*turn); };
    // Nor is one that was written to since.
    if (turn->row.record.expire_time > now) continue;
    SEER_RETURN_IF_ERROR(Delete(*turn));
    ++num_deleted;
  }
  return num_deleted;
}

// ---- Finalizing

absl::Status Catalog::EndUpload(Turn& turn, UploadState state, absl::Time now) {
  turn.row.record.state = state;
  turn.row.record.expire_time = now + options_.upload_lifetime;
  UploadRow row = turn.row;
  row.blob.clear();
  return Update(*database_, row);
}

absl::Status Catalog::Fail(Turn& turn, const Failure& failure, absl::Time now) {
  SEER_RETURN_IF_ERROR(Freeing([&]() -> absl::Status {
    MutexLock lock(&mutex_);
    Transaction transaction(*database_, "upload.fail");
    SEER_RETURN_IF_ERROR(transaction.status());
    turn.row.record.failure = failure;
    SEER_RETURN_IF_ERROR(EndUpload(turn, UploadState::kFailed, now));
    return transaction.Commit();
  }));
  Drop(std::exchange(turn.row.blob, ""));
  return absl::OkStatus();
}

absl::StatusOr<SealedUpload> Catalog::SealUpload(
    absl::string_view id, absl::Time now,
    const std::function<bool()>& cancelled) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  const Upload& upload = turn.row.record;
  if (upload.state == UploadState::kFinalized) return SealedUpload{upload, ""};
  if (upload.state == UploadState::kFailed) return HasEnded(upload);
  SEER_RETURN_IF_ERROR(Commit(turn, now));
  if (upload.committed_size != upload.spec.size) {
    return WithReason(
        absl::FailedPreconditionError("the upload is not complete"),
        {"UPLOAD_INCOMPLETE", upload.spec.size, upload.committed_size});
  }
  const absl::Status sealed = blobs_.Seal(turn.row.blob, upload.spec.size,
                                          upload.spec.sha256, cancelled);
  const auto reason = ReasonOf(sealed);
  if (reason && reason->reason == "SHA256_MISMATCH") {
    SEER_RETURN_IF_ERROR(
        Fail(turn, {reason->reason, std::string(sealed.message())}, now));
  }
  SEER_RETURN_IF_ERROR(sealed);
  SEER_RETURN_IF_ERROR(Renew(turn, now));
  return SealedUpload{upload, blobs_.PathOf(turn.row.blob)};
}

absl::Status Catalog::FailUpload(absl::string_view id, const Failure& failure,
                                 absl::Time now) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  if (turn.row.blob.empty()) return HasEnded(turn.row.record);
  return Fail(turn, failure, now);
}

absl::Status Catalog::CheckSealed(const Turn& turn) {
  const Upload& upload = turn.row.record;
  if (upload.state != UploadState::kReceiving) return HasEnded(upload);
  const absl::StatusOr<int64_t> size = blobs_.WholeSize(turn.row.blob);
  if (size.ok() && *size == upload.spec.size) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError("the upload is not sealed"),
      {"UPLOAD_INCOMPLETE", upload.spec.size, upload.committed_size});
}

absl::StatusOr<Dataset> Catalog::FinishDataset(absl::string_view upload_id,
                                               const DatasetFacts& facts,
                                               absl::Time now) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(upload_id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  Upload& upload = turn.row.record;
  if (upload.state == UploadState::kFinalized) {
    return GetDataset(upload.result_id);
  }
  SEER_RETURN_IF_ERROR(CheckSealed(turn));
  DatasetRow row;
  row.record.id = NewRandomId();
  row.record.display_name = upload.spec.display_name;
  row.record.format = upload.spec.format;
  row.record.size = upload.spec.size;
  row.record.sha256 = upload.spec.sha256;
  row.record.facts = facts;
  row.record.create_time = now;
  row.blob = turn.row.blob;
  upload.result_id = row.record.id;
  MutexLock lock(&mutex_);
  Transaction transaction(*database_, "upload.finish");
  SEER_RETURN_IF_ERROR(transaction.status());
  SEER_RETURN_IF_ERROR(Insert(*database_, row));
  SEER_RETURN_IF_ERROR(EndUpload(turn, UploadState::kFinalized, now));
  SEER_RETURN_IF_ERROR(transaction.Commit());
  turn.row.blob.clear();
  return Filled(std::move(row));
}

absl::StatusOr<GateSetRecord> Catalog::FinishGateSet(
    absl::string_view upload_id, const GateSetFacts& facts, absl::Time now) {
  SEER_ASSIGN_OR_RETURN(Turn turn, BeginTurn(upload_id));
  const absl::Cleanup end_turn = [&] { EndTurn(turn); };
  Upload& upload = turn.row.record;
  if (upload.state == UploadState::kFinalized) {
    return GetGateSet(upload.result_id);
  }
  SEER_RETURN_IF_ERROR(CheckSealed(turn));
  GateSetRow row;
  row.record.display_name = upload.spec.display_name;
  row.record.facts = facts;
  row.record.sha256 = upload.spec.sha256;
  row.record.size = upload.spec.size;
  row.record.source = absl::StrCat("uploads/", upload.id);
  row.record.create_time = now;
  row.blob = turn.row.blob;
  std::string unused;
  GateSetRecord gate_set;
  {
    MutexLock lock(&mutex_);
    Transaction transaction(*database_, "upload.finish");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_ASSIGN_OR_RETURN(row, Keep(std::move(row), unused));
    upload.result_id = row.record.id;
    SEER_RETURN_IF_ERROR(EndUpload(turn, UploadState::kFinalized, now));
    SEER_RETURN_IF_ERROR(transaction.Commit());
    turn.row.blob.clear();
    damage_.erase(unused);
    gate_set = Filled(std::move(row));
  }
  Drop(unused);
  return gate_set;
}

}  // namespace seer
