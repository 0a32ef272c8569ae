#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/catalog.h"
#include "server/catalog/refusals.h"
#include "server/random_id.h"

namespace seer {
namespace {

bool HasEnded(JobState state) { return state >= JobState::kSucceeded; }

const char* NameOf(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kPaused:
      return "paused";
    case JobState::kSucceeded:
      return "finished";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "in an unknown state";
}

absl::Status WrongState(const CalibrationJob& job) {
  return Refusal(absl::StatusCode::kFailedPrecondition, "JOB_STATE",
                 absl::StrCat("the job is ", NameOf(job.state)));
}

void ForgetCheckpoint(JobRow& row) {
  row.checkpoint_blob.clear();
  row.checkpoint_sha256.clear();
  row.checkpoint_size = 0;
  row.record.has_checkpoint = false;
}

void End(JobRow& row, JobState state, absl::Time now,
         const std::optional<CalibrationProgress>& progress) {
  row.record.state = state;
  row.record.end_time = now;
  if (progress) row.record.progress = *progress;
  ForgetCheckpoint(row);
}

int64_t TotalSize(absl::Span<const absl::string_view> pieces) {
  size_t size = 0;
  for (const absl::string_view piece : pieces) size += piece.size();
  return static_cast<int64_t>(size);
}

}  // namespace

absl::StatusOr<std::optional<CalibrationJob>> Catalog::FindJobLocked(
    const RequestKey& request) {
  SEER_ASSIGN_OR_RETURN(std::optional<JobRow> earlier,
                        FindJobByRequest(*database_, request.id));
  if (!earlier.has_value()) return std::optional<CalibrationJob>();
  if (earlier->record.request.digest != request.digest) {
    return InvalidField("request_id", "is that of another job");
  }
  return std::make_optional(std::move(earlier->record));
}

absl::StatusOr<std::optional<CalibrationJob>> Catalog::FindJob(
    const RequestKey& request) {
  MutexLock lock(&mutex_);
  return FindJobLocked(request);
}

absl::StatusOr<CalibrationJob> Catalog::CreateJob(const CalibrationSpec& spec,
                                                  const RequestKey& request,
                                                  absl::Time now) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(std::optional<CalibrationJob> earlier,
                        FindJobLocked(request));
  if (earlier.has_value()) return *std::move(earlier);
  SEER_ASSIGN_OR_RETURN(const DatasetRow dataset,
                        FindDataset(*database_, spec.dataset_id));
  if (const std::optional<Failure> damage = DamageOf(dataset.blob)) {
    return Refusal(absl::StatusCode::kFailedPrecondition, "DAMAGED",
                   absl::StrCat("the dataset is damaged: ", damage->message));
  }
  SEER_ASSIGN_OR_RETURN(const int64_t num_unfinished,
                        CountOf("SELECT count(*) FROM jobs WHERE state <= 3"));
  SEER_RETURN_IF_ERROR(CheckQuota("QUOTA_JOBS", "jobs that have not ended",
                                  num_unfinished + 1,
                                  options_.max_unfinished_jobs));
  SEER_RETURN_IF_ERROR(CheckRoomForGateSet());
  JobRow row;
  row.record.id = NewRandomId();
  row.record.spec = spec;
  row.record.request = request;
  row.record.create_time = now;
  Transaction transaction(*database_, "job.create");
  SEER_RETURN_IF_ERROR(transaction.status());
  SEER_RETURN_IF_ERROR(Insert(*database_, row));
  SEER_RETURN_IF_ERROR(
      Query(*database_,
            "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state "
            "> 3 ORDER BY end_time DESC, seq DESC LIMIT -1 OFFSET ?)",
            options_.max_ended_jobs)
          .Run());
  SEER_RETURN_IF_ERROR(transaction.Commit());
  return row.record;
}

absl::StatusOr<CalibrationJob> Catalog::GetJob(absl::string_view id) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(JobRow row, seer::FindJob(*database_, id));
  return std::move(row.record);
}

absl::StatusOr<Page<CalibrationJob>> Catalog::ListJobs(
    const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<JobRow> rows, JobPage(*database_, page));
  Page<CalibrationJob> jobs;
  for (JobRow& row : rows.items) jobs.items.push_back(std::move(row.record));
  jobs.next_token = std::move(rows.next_token);
  return jobs;
}

absl::StatusOr<std::vector<CalibrationJob>> Catalog::JobsToRun(
    absl::string_view model) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(
      std::vector<JobRow> rows,
      SelectJobs(*database_, "WHERE state <= 2 ORDER BY state DESC, seq"));
  std::vector<CalibrationJob> jobs;
  for (JobRow& row : rows) {
    if (row.record.spec.model == model) jobs.push_back(std::move(row.record));
  }
  return jobs;
}

absl::StatusOr<std::map<JobState, int64_t>> Catalog::CountJobs() {
  MutexLock lock(&mutex_);
  std::map<JobState, int64_t> counts;
  Query query(*database_, "SELECT state, count(*) FROM jobs GROUP BY state");
  while (query.Next()) {
    counts[static_cast<JobState>(query.Int(0))] = query.Int(1);
  }
  SEER_RETURN_IF_ERROR(query.status());
  return counts;
}

absl::StatusOr<CalibrationJob> Catalog::ChangeJob(absl::string_view id,
                                                  const char* fault_point,
                                                  const JobChange& change) {
  JobRow row;
  std::string old_checkpoint;
  {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(row, seer::FindJob(*database_, id));
    old_checkpoint = row.checkpoint_blob;
    Transaction transaction(*database_, fault_point);
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_ASSIGN_OR_RETURN(const bool changed, change(row));
    if (!changed) return row.record;
    SEER_RETURN_IF_ERROR(Update(*database_, row));
    SEER_RETURN_IF_ERROR(transaction.Commit());
    if (row.checkpoint_blob != old_checkpoint) damage_.erase(old_checkpoint);
  }
  if (row.checkpoint_blob != old_checkpoint) Drop(old_checkpoint);
  return row.record;
}

absl::StatusOr<CalibrationJob> Catalog::StartJob(absl::string_view id,
                                                 absl::Time now) {
  return ChangeJob(id, "job.start", [&](JobRow& row) -> absl::StatusOr<bool> {
    CalibrationJob& job = row.record;
    if (job.state != JobState::kQueued && job.state != JobState::kRunning) {
      return WrongState(job);
    }
    job.state = JobState::kRunning;
    ++job.attempts;
    if (job.start_time == absl::InfinitePast()) job.start_time = now;
    return true;
  });
}

absl::StatusOr<CalibrationJob> Catalog::LetGoOfJob(absl::string_view id) {
  return ChangeJob(id, "job.let_go", [](JobRow& row) -> absl::StatusOr<bool> {
    if (row.record.state != JobState::kRunning) return WrongState(row.record);
    return std::exchange(row.record.attempts, 0) != 0;
  });
}

absl::StatusOr<CalibrationJob> Catalog::PauseJob(absl::string_view id) {
  return ChangeJob(id, "job.pause", [](JobRow& row) -> absl::StatusOr<bool> {
    if (HasEnded(row.record.state)) return WrongState(row.record);
    if (row.record.state == JobState::kPaused) return false;
    row.record.state = JobState::kPaused;
    row.record.attempts = 0;
    return true;
  });
}

absl::StatusOr<CalibrationJob> Catalog::ResumeJob(absl::string_view id) {
  return ChangeJob(id, "job.resume", [](JobRow& row) -> absl::StatusOr<bool> {
    if (HasEnded(row.record.state)) return WrongState(row.record);
    if (row.record.state != JobState::kPaused) return false;
    row.record.state = JobState::kQueued;
    return true;
  });
}

absl::StatusOr<CalibrationJob> Catalog::EndJob(absl::string_view id,
                                               const char* fault_point,
                                               const JobChange& change) {
  absl::StatusOr<CalibrationJob> job;
  SEER_RETURN_IF_ERROR(Freeing([&] {
    job = ChangeJob(id, fault_point, change);
    return job.status();
  }));
  return job;
}

absl::StatusOr<CalibrationJob> Catalog::CancelJob(
    absl::string_view id, absl::Time now,
    const std::optional<CalibrationProgress>& progress) {
  return EndJob(id, "job.cancel", [&](JobRow& row) -> absl::StatusOr<bool> {
    if (row.record.state == JobState::kCancelled) return false;
    if (HasEnded(row.record.state)) return WrongState(row.record);
    End(row, JobState::kCancelled, now, progress);
    return true;
  });
}

absl::StatusOr<CalibrationJob> Catalog::FailJob(
    absl::string_view id, const Failure& failure, absl::Time now,
    const std::optional<CalibrationProgress>& progress) {
  return EndJob(id, "job.fail", [&](JobRow& row) -> absl::StatusOr<bool> {
    if (HasEnded(row.record.state)) return WrongState(row.record);
    row.record.failure = failure;
    End(row, JobState::kFailed, now, progress);
    return true;
  });
}

absl::Status Catalog::SaveCheckpoint(
    absl::string_view id, const CalibrationProgress& progress,
    absl::Span<const absl::string_view> pieces) {
  const std::string blob = NewRandomId();
  SEER_ASSIGN_OR_RETURN(const std::string digest, blobs_.Put(blob, pieces));
  const absl::Status saved =
      ChangeJob(id, "job.checkpoint", [&](JobRow& row) -> absl::StatusOr<bool> {
        if (HasEnded(row.record.state)) return WrongState(row.record);
        row.checkpoint_blob = blob;
        row.checkpoint_size = TotalSize(pieces);
        row.checkpoint_sha256 = digest;
        row.record.progress = progress;
        row.record.attempts = 0;
        return true;
      }).status();
  if (!saved.ok()) DropUnnamed(blob);
  return saved;
}

absl::StatusOr<std::string> Catalog::CheckpointPath(absl::string_view id) {
  JobRow row;
  {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(row, seer::FindJob(*database_, id));
  }
  if (row.checkpoint_blob.empty()) {
    return absl::NotFoundError("the job has no checkpoint");
  }
  const absl::StatusOr<std::string> digest =
      blobs_.DigestOf(row.checkpoint_blob);
  if (!absl::IsNotFound(digest.status())) SEER_RETURN_IF_ERROR(digest.status());
  if (!digest.ok() || *digest != row.checkpoint_sha256) {
    return Refusal(absl::StatusCode::kFailedPrecondition, "CHECKPOINT_DAMAGED",
                   "the job's checkpoint is missing or damaged");
  }
  return blobs_.PathOf(row.checkpoint_blob);
}

absl::StatusOr<GateSetRecord> Catalog::CompleteJob(
    absl::string_view id, const JobResult& result, const GateSetFacts& facts,
    absl::Span<const absl::string_view> pieces, absl::Time now) {
  GateSetRow kept;
  kept.blob = NewRandomId();
  const std::string blob = kept.blob;
  SEER_ASSIGN_OR_RETURN(kept.record.sha256, blobs_.Put(blob, pieces));
  kept.record.size = TotalSize(pieces);
  kept.record.facts = facts;
  kept.record.quality = result.quality;
  kept.record.source = absl::StrCat("calibrationJobs/", id);
  kept.record.create_time = now;
  std::string unused;
  const absl::Status completed =
      ChangeJob(id, "job.complete", [&](JobRow& row) -> absl::StatusOr<bool> {
        mutex_.AssertHeld();
        if (row.record.state != JobState::kRunning) {
          return WrongState(row.record);
        }
        kept.record.display_name = row.record.spec.display_name;
        SEER_ASSIGN_OR_RETURN(kept, Keep(std::move(kept), unused));
        row.record.quality = result.quality;
        row.record.gate_set_id = kept.record.id;
        End(row, JobState::kSucceeded, now, result.progress);
        return true;
      }).status();
  if (!completed.ok()) {
    DropUnnamed(blob);
    return completed;
  }
  Drop(unused);
  MutexLock lock(&mutex_);
  damage_.erase(unused);
  return Filled(std::move(kept));
}

}  // namespace seer
