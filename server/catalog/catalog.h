// The server's memory: what an operator uploaded, calibrated and activated.
#ifndef SEER_SERVER_CATALOG_CATALOG_H_
#define SEER_SERVER_CATALOG_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/file/file_lock.h"
#include "base/thread/mutex.h"
#include "server/catalog/catalog_options.h"
#include "server/catalog/records.h"
#include "server/catalog/rows/rows.h"
#include "server/catalog/storage/blob_store.h"
#include "server/catalog/storage/database.h"
#include "server/catalog/storage/disk_reserve.h"

namespace seer {

// What Open found that was not as it should be; all of it is logged too.
struct RecoveryReport {
  // Files of uploads, checkpoints and gate sets that a crash left behind, now
  // gone.
  int64_t num_swept = 0;
  // Names such as "datasets/x", whose file is missing or has a wrong size, with
  // why. They stay listed and are not served.
  std::map<std::string, Failure> damaged;
};

// Rows in SQLite and blobs as files, in one folder that one process holds.
//
// A call that returns OK is on disk; one that fails has changed nothing, but
// where said. A crash at any instruction leaves each call done or not done; so
// does one that comes after a call whose commit the disk failed, INTERNAL, and
// before the next change.
//
// Thread-safe. Every call blocks on the disk: never call from a gRPC or engine
// thread. SealUpload and AppendToUpload hold up only their own upload.
//
// Errors, beside those said at each call:
//   NOT_FOUND            no such resource; ResourceInfo
//   RESOURCE_EXHAUSTED   reason DISK_FULL
//   FAILED_PRECONDITION  reason READ_ONLY
//   INTERNAL             any other trouble with the disk
class Catalog {
 public:
  // Makes `options.folder` where it is missing. Writes nothing that it need
  // not, so that a full disk does not keep a server from starting.
  // INVALID_ARGUMENT: options. ALREADY_EXISTS: another process holds the
  // folder. PERMISSION_DENIED: it may not be written. FAILED_PRECONDITION: not
  // a catalog, or one of a newer server, or its database is gone while its
  // blobs are there. DATA_LOSS: the database is damaged. The log names the file
  // of an error.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(
      const CatalogOptions& options);

  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;
  ~Catalog();

  const RecoveryReport& recovery() const { return recovery_; }

  // ---- Uploads

  // `spec` is as gate_admin.proto demands: the caller has checked it. Returns
  // the upload of an earlier call with the same request_id, while that exists.
  // INVALID_ARGUMENT: that one was another upload. RESOURCE_EXHAUSTED:
  // QUOTA_UPLOADS, QUOTA_BYTES, and QUOTA_DATASETS or QUOTA_GATE_SETS, which
  // uploads and gate sets of jobs to come count against too. Forgets the oldest
  // ended uploads beyond options.max_ended_uploads.
  absl::StatusOr<Upload> CreateUpload(const NewUpload& spec, absl::Time now);

  // Writes `bytes` at `offset`, the end of what was written before, or the
  // committed size, which drops what came after it. Returns the new end, which
  // is on disk only up to the committed size: after options.sync_bytes, and by
  // CommitUpload. After an error of the disk the end is the committed size,
  // after those below as it was.
  // OUT_OF_RANGE: UPLOAD_OFFSET, a gap; UPLOAD_SIZE, too much. ABORTED,
  // UPLOAD_BUSY: another thread is at it. FAILED_PRECONDITION, UPLOAD_ENDED:
  // it takes no bytes any more.
  absl::StatusOr<int64_t> AppendToUpload(absl::string_view id, int64_t offset,
                                         absl::string_view bytes,
                                         absl::Time now);
  // Brings what was appended to disk. Errors as AppendToUpload.
  absl::StatusOr<Upload> CommitUpload(absl::string_view id, absl::Time now);

  absl::StatusOr<Upload> GetUpload(absl::string_view id);
  absl::StatusOr<Page<Upload>> ListUploads(const PageRequest& page);
  // ABORTED, UPLOAD_BUSY.
  absl::Status DeleteUpload(absl::string_view id);
  // Deletes those whose time has come; returns how many.
  absl::StatusOr<int64_t> ExpireUploads(absl::Time now);

  // Finalizing takes two calls, between which the caller reads the file:
  //   SealUpload, then FinishDataset, FinishGateSet or FailUpload.
  // Sealing moves the expiry as writing does.
  // FAILED_PRECONDITION: UPLOAD_INCOMPLETE, with size and committed size;
  // SHA256_MISMATCH, which fails the upload; UPLOAD_ENDED, it has failed. Of a
  // finalized upload only `upload` is set. CANCELLED: `cancelled`, asked about
  // every MiB if it is set, said so; it may be sealed later. Other errors as
  // AppendToUpload.
  absl::StatusOr<SealedUpload> SealUpload(
      absl::string_view id, absl::Time now,
      const std::function<bool()>& cancelled = nullptr);
  // Ends a sealed or receiving upload and frees its bytes.
  absl::Status FailUpload(absl::string_view id, const Failure& failure,
                          absl::Time now);
  // What a sealed upload becomes. Called again, the same.
  // FAILED_PRECONDITION, UPLOAD_INCOMPLETE: not sealed.
  absl::StatusOr<Dataset> FinishDataset(absl::string_view upload_id,
                                        const DatasetFacts& facts,
                                        absl::Time now);
  // A file that is a gate set already becomes that one, and mends it if it was
  // damaged.
  absl::StatusOr<GateSetRecord> FinishGateSet(absl::string_view upload_id,
                                              const GateSetFacts& facts,
                                              absl::Time now);

  // ---- Datasets

  absl::StatusOr<Dataset> GetDataset(absl::string_view id);
  absl::StatusOr<Page<Dataset>> ListDatasets(const PageRequest& page);
  absl::Status SetDatasetTokens(absl::string_view id, int64_t num_tokens);
  // FAILED_PRECONDITION, IN_USE: by a job that has not ended.
  absl::Status DeleteDataset(absl::string_view id);

  // ---- Calibration jobs. FAILED_PRECONDITION, JOB_STATE: not in this state.

  // The job of an earlier call of CreateJob with the same request_id, while
  // that exists. INVALID_ARGUMENT: that one was another job.
  absl::StatusOr<std::optional<CalibrationJob>> FindJob(
      const RequestKey& request);
  // Where FindJob finds one, that. RESOURCE_EXHAUSTED: QUOTA_JOBS,
  // QUOTA_GATE_SETS. FAILED_PRECONDITION, DAMAGED: the dataset. Forgets the
  // oldest ended jobs beyond options.max_ended_jobs.
  absl::StatusOr<CalibrationJob> CreateJob(const CalibrationSpec& spec,
                                           const RequestKey& request,
                                           absl::Time now);
  absl::StatusOr<CalibrationJob> GetJob(absl::string_view id);
  absl::StatusOr<Page<CalibrationJob>> ListJobs(const PageRequest& page);
  // What the runner of this model has to do, in this order: jobs that run (or
  // did when the server went down), then those queued, each oldest first.
  absl::StatusOr<std::vector<CalibrationJob>> JobsToRun(
      absl::string_view model);
  // How many there are in each state; states of none are left out.
  absl::StatusOr<std::map<JobState, int64_t>> CountJobs();

  // Queued or running becomes running; counts an attempt.
  absl::StatusOr<CalibrationJob> StartJob(absl::string_view id, absl::Time now);
  // Of a running job that is let go of in order, as where the server stops: it
  // stays running, for JobsToRun, and has made no attempt.
  absl::StatusOr<CalibrationJob> LetGoOfJob(absl::string_view id);
  // Queued or running becomes paused, and has made no attempt; paused stays.
  absl::StatusOr<CalibrationJob> PauseJob(absl::string_view id);
  // Paused becomes queued; queued and running stay.
  absl::StatusOr<CalibrationJob> ResumeJob(absl::string_view id);
  // Not ended, or cancelled, becomes cancelled. `progress` is how far it came,
  // unset: as far as is known here.
  absl::StatusOr<CalibrationJob> CancelJob(
      absl::string_view id, absl::Time now,
      const std::optional<CalibrationProgress>& progress = std::nullopt);
  // Of a job that has not ended. `progress` as in CancelJob.
  absl::StatusOr<CalibrationJob> FailJob(
      absl::string_view id, const Failure& failure, absl::Time now,
      const std::optional<CalibrationProgress>& progress = std::nullopt);
  // Of a job that has not ended. The new checkpoint takes the place of the old
  // one, wholly or, after an error or a crash, not at all.
  absl::Status SaveCheckpoint(absl::string_view id,
                              const CalibrationProgress& progress,
                              absl::Span<const absl::string_view> pieces);
  // The file of the last checkpoint, read whole and found right; stays until
  // the next SaveCheckpoint or the job's end. NOT_FOUND: there is none.
  // FAILED_PRECONDITION, CHECKPOINT_DAMAGED.
  absl::StatusOr<std::string> CheckpointPath(absl::string_view id);
  // Of a running job: keeps its gate set and ends it, in one step.
  // RESOURCE_EXHAUSTED, QUOTA_GATE_SETS.
  absl::StatusOr<GateSetRecord> CompleteJob(
      absl::string_view id, const JobResult& result, const GateSetFacts& facts,
      absl::Span<const absl::string_view> pieces, absl::Time now);

  // ---- Gate sets

  absl::StatusOr<GateSetRecord> GetGateSet(absl::string_view id);
  absl::StatusOr<Page<GateSetRecord>> ListGateSets(absl::string_view model,
                                                   const PageRequest& page);
  // Reads the file and compares its digest; damage found is kept as by
  // MarkGateSetDamaged. NOT_FOUND also where it goes meanwhile.
  // FAILED_PRECONDITION, DAMAGED.
  absl::Status VerifyGateSet(absl::string_view id);
  // Until the server stops, or the file is uploaded anew: not to be activated.
  // `read` is as GetGateSet answered before its file was read: does nothing
  // where the gate set has another file by now, or is gone.
  void MarkGateSetDamaged(const GateSetRecord& read, const Failure& damage);
  // FAILED_PRECONDITION, IN_USE: stable, canary or previous of a rollout.
  absl::Status DeleteGateSet(absl::string_view id);

  // ---- Rollouts, one a model

  absl::StatusOr<Rollout> GetRollout(absl::string_view model);
  // A change that ends the canary and names no fraction sets that to 0; one
  // that changes nothing makes no revision. INVALID_ARGUMENT: a fraction out of
  // range or without a canary, a canary equal to stable, no etag. ABORTED,
  // ETAG_MISMATCH. NOT_FOUND: a gate set, or it is another model's.
  // FAILED_PRECONDITION, DAMAGED. That its gate sets load is for the caller to
  // see first.
  absl::StatusOr<Rollout> UpdateRollout(absl::string_view model,
                                        const RolloutChange& change,
                                        absl::Time now);
  // Ends the canary, if there is one: stable stays. Else makes previous stable,
  // and what was stable previous. `etag` may be empty. ABORTED, ETAG_MISMATCH.
  // FAILED_PRECONDITION: NOTHING_TO_ROLL_BACK, where stable and previous are
  // both empty; DAMAGED.
  absl::StatusOr<Rollout> RollBack(absl::string_view model,
                                   absl::string_view etag, bool validate_only,
                                   absl::Time now);
  // For start-up, when gate sets of the rollout do not load: takes `unusable`
  // ids out of it. The previous set, if usable, takes an unusable stable set's
  // place. Where this fails the caller serves what WithoutUnusable says, and
  // tries again at the next start.
  absl::StatusOr<Rollout> FallBack(absl::string_view model,
                                   const std::set<std::string>& unusable,
                                   absl::string_view message, absl::Time now);
  // The models that gate sets, rollouts or jobs that have not ended belong to.
  absl::StatusOr<std::set<std::string>> Models();
  // Of the last 10,000 changes.
  absl::StatusOr<Page<RolloutRevision>> ListRolloutRevisions(
      absl::string_view model, const PageRequest& page);

 private:
  // An upload that one thread works at, alone.
  struct Turn {
    UploadRow row;
    int64_t end = 0;  // bytes appended, >= the committed size
  };
  struct Appending {
    int64_t end = 0;
    bool busy = false;
  };
  using JobChange = std::function<absl::StatusOr<bool>(JobRow&)>;

  // `folder` is options.folder by its real path.
  Catalog(const CatalogOptions& options, const std::string& folder,
          FileLock lock, std::unique_ptr<Database> database, BlobStore blobs);

  // Sizes of files by blob id.
  struct Files {
    std::map<std::string, int64_t> whole;
    std::map<std::string, int64_t> partial;
    // Takes out what belongs to a row.
    void Claim(const std::string& blob);
  };
  // Looks at every row and every file: fills in damage_ and recovery_ and
  // sweeps the files that no row has.
  absl::Status Recover(const std::vector<BlobStore::Entry>& entries);
  absl::Status ClaimUploads(Files& files) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ClaimWhole(Files& files) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteDamage(absl::string_view name, const std::string& blob,
                  const Failure& damage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // With what the files say filled in.
  Upload Filled(UploadRow row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Dataset Filled(DatasetRow row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  GateSetRecord Filled(GateSetRow row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Failure> DamageOf(const std::string& blob)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes a blob that no row has; where that fails the next Open sweeps it.
  void Drop(const std::string& blob);
  // The result of `change`, which frees space or cannot wait for it; of a
  // second try, with the disk's reserve given back to it, where it was full.
  // Drop and ExpireUploads take the reserve again.
  absl::Status Freeing(const std::function<absl::Status()>& change);
  // Of a change that failed: drops what it would have named, unless its commit
  // may yet turn out to be done; then the next Open sees.
  void DropUnnamed(const std::string& blob);

  absl::Status CheckUploadQuotas(const NewUpload& spec)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For one gate set more than there are and than uploads and jobs will make.
  absl::Status CheckRoomForGateSet() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<int64_t> CountOf(absl::string_view sql)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<Turn> BeginTurn(absl::string_view id);
  void EndTurn(const Turn& turn);
  absl::Status Commit(Turn& turn, absl::Time now);
  // Moves its expiry.
  absl::Status Renew(Turn& turn, absl::Time now);
  absl::Status Delete(Turn& turn);
  // Ends the turn's upload; its blob is for the caller to drop, or to keep.
  absl::Status EndUpload(Turn& turn, UploadState state, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Fail(Turn& turn, const Failure& failure, absl::Time now);
  absl::Status CheckSealed(const Turn& turn);

  absl::StatusOr<std::optional<CalibrationJob>> FindJobLocked(
      const RequestKey& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Changes a job as `change` says, which returns whether there is anything to
  // write; drops a checkpoint that it parts with.
  absl::StatusOr<CalibrationJob> ChangeJob(absl::string_view id,
                                           const char* fault_point,
                                           const JobChange& change);
  // As ChangeJob, of a change that frees space.
  absl::StatusOr<CalibrationJob> EndJob(absl::string_view id,
                                        const char* fault_point,
                                        const JobChange& change);
  // Inserts a gate set, or finds the one that has this content already. Leaves
  // in `unused` the blob that is no longer, or not, needed; "" for none.
  absl::StatusOr<GateSetRow> Keep(GateSetRow row, std::string& unused)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void NoteUnusable(const GateSetRow& row, const Failure& damage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckActivatable(absl::string_view model, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a rollback makes of `rollout`.
  absl::StatusOr<Rollout> RolledBack(absl::string_view model, Rollout rollout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Rollout> Write(absl::string_view model, RevisionRow row,
                                absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CatalogOptions options_;
  const FileLock lock_;
  BlobStore blobs_;
  DiskReserve reserve_;
  RecoveryReport recovery_;  // constant after Open

  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
  std::map<std::string, Appending> appending_ ABSL_GUARDED_BY(mutex_);  // by id
  std::map<std::string, Failure> damage_ ABSL_GUARDED_BY(mutex_);  // by blob
};

// What remains of a rollout without these gate sets: see Catalog::FallBack.
Rollout WithoutUnusable(Rollout rollout, const std::set<std::string>& unusable);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_CATALOG_H_
