#include "server/catalog/catalog.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/refusals.h"
#include "server/catalog/rows/schema.h"
#include "server/catalog/storage/folder.h"

namespace seer {
namespace {

absl::Status QuickCheck(Database& database) {
  Query query(database, "PRAGMA quick_check(1)");
  const std::string result = query.Next() ? query.Text(0) : "no answer";
  SEER_RETURN_IF_ERROR(query.status());
  if (result == "ok") return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the catalog's database is damaged: ", result));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(
    const CatalogOptions& options) {
  SEER_RETURN_IF_ERROR(options.Validate());
  SEER_RETURN_IF_ERROR(MakeFolder(options.folder));
  // SQLite refuses a path with a symbolic link anywhere on it.
  SEER_ASSIGN_OR_RETURN(const std::string folder, RealPath(options.folder));
  SEER_ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(folder + "/lock"));
  SEER_ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(folder + "/blobs"));
  SEER_ASSIGN_OR_RETURN(const std::vector<BlobStore::Entry> entries,
                        blobs.List());
  SEER_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                        Database::Open(folder + "/catalog.sqlite"));
  SEER_RETURN_IF_ERROR(BringSchemaUpToDate(*database, entries.empty()));
  SEER_RETURN_IF_ERROR(QuickCheck(*database));
  auto catalog = std::unique_ptr<Catalog>(new Catalog(
      options, folder, std::move(lock), std::move(database), std::move(blobs)));
  catalog->reserve_.Take();
  SEER_RETURN_IF_ERROR(catalog->Recover(entries));
  return catalog;
}

Catalog::Catalog(const CatalogOptions& options, const std::string& folder,
                 FileLock lock, std::unique_ptr<Database> database,
                 BlobStore blobs)
    : options_(options),
      lock_(std::move(lock)),
      blobs_(std::move(blobs)),
      reserve_(folder + "/reserve", options.disk_reserve_bytes),
      database_(std::move(database)) {}

Catalog::~Catalog() = default;

absl::Status Catalog::Recover(const std::vector<BlobStore::Entry>& entries) {
  MutexLock lock(&mutex_);
  Files files;
  for (const BlobStore::Entry& entry : entries) {
    (entry.whole ? files.whole : files.partial)[entry.id] = entry.size;
  }
  SEER_RETURN_IF_ERROR(ClaimUploads(files));
  SEER_RETURN_IF_ERROR(ClaimWhole(files));
  // Until then the rows that a power cut would leave may name other files, and
  // later commits rest on the WAL as it is in memory.
  const absl::Status on_disk = Freeing([this] {
    mutex_.AssertHeld();
    return database_->Checkpoint();
  });
  if (!on_disk.ok()) {
    Log(LogLevel::kWarning,
        "catalog: files of no row stay until the next start",
        {{"error", on_disk.ToString()}});
    return absl::OkStatus();
  }
  // What no row has claimed.
  for (const auto* unclaimed : {&files.whole, &files.partial}) {
    for (const auto& [blob, size] : *unclaimed) {
      Log(LogLevel::kInfo, "catalog: swept a file that a crash left",
          {{"blob", blob}, {"bytes", size}});
      Drop(blob);
      ++recovery_.num_swept;
    }
  }
  return absl::OkStatus();
}

// The file of an upload is partial, or whole where a crash came between its
// sealing and its end. Bytes that were never committed are cut off by the next
// append.
absl::Status Catalog::ClaimUploads(Files& files) {
  SEER_ASSIGN_OR_RETURN(const std::vector<UploadRow> uploads,
                        SelectUploads(*database_, "WHERE blob IS NOT NULL"));
  for (const UploadRow& row : uploads) {
    const int64_t committed = row.record.committed_size;
    int64_t size = 0;
    for (const auto* there : {&files.whole, &files.partial}) {
      const auto found = there->find(row.blob);
      if (found != there->end()) size = found->second;
    }
    if (size < committed) {
      NoteDamage(absl::StrCat("uploads/", row.record.id), row.blob,
                 {"DATA_LOST", "bytes that were on disk are gone"});
    }
    files.Claim(row.blob);
  }
  return absl::OkStatus();
}

absl::Status Catalog::ClaimWhole(Files& files) {
  const auto claim = [&](absl::string_view collection, absl::string_view id,
                         const std::string& blob, int64_t size) {
    mutex_.AssertHeld();
    const auto found = files.whole.find(blob);
    const std::string name = absl::StrCat(collection, id);
    if (found == files.whole.end()) {
      NoteDamage(name, blob, {"MISSING", "its file is missing"});
    } else if (found->second != size) {
      NoteDamage(name, blob, {"WRONG_SIZE", "its file has another size"});
    }
    files.Claim(blob);
  };
  SEER_ASSIGN_OR_RETURN(const std::vector<DatasetRow> datasets,
                        SelectDatasets(*database_, ""));
  for (const DatasetRow& row : datasets) {
    claim("datasets/", row.record.id, row.blob, row.record.size);
  }
  SEER_ASSIGN_OR_RETURN(const std::vector<GateSetRow> gate_sets,
                        SelectGateSets(*database_, ""));
  for (const GateSetRow& row : gate_sets) {
    claim("gateSets/", row.record.id, row.blob, row.record.size);
  }
  SEER_ASSIGN_OR_RETURN(
      const std::vector<JobRow> jobs,
      SelectJobs(*database_, "WHERE checkpoint_blob IS NOT NULL"));
  for (const JobRow& row : jobs) {
    claim("calibrationJobs/", row.record.id, row.checkpoint_blob,
          row.checkpoint_size);
  }
  return absl::OkStatus();
}

void Catalog::Files::Claim(const std::string& blob) {
  whole.erase(blob);
  partial.erase(blob);
}

void Catalog::NoteDamage(absl::string_view name, const std::string& blob,
                         const Failure& damage) {
  Log(LogLevel::kError, "catalog: a file is not what it was",
      {{"name", name},
       {"blob", blob},
       {"reason", damage.reason},
       {"problem", damage.message}});
  recovery_.damaged[std::string(name)] = damage;
  damage_[blob] = damage;
}

std::optional<Failure> Catalog::DamageOf(const std::string& blob) {
  const auto found = damage_.find(blob);
  if (found == damage_.end()) return std::nullopt;
  return found->second;
}

void Catalog::Drop(const std::string& blob) {
  if (blob.empty()) return;
  const absl::Status removed = blobs_.Remove(blob);
  if (removed.ok()) return reserve_.Take();
  Log(LogLevel::kWarning, "catalog: a file stays until the next start",
      {{"blob", blob}, {"error", removed.ToString()}});
}

absl::Status Catalog::Freeing(const std::function<absl::Status()>& change) {
  const absl::Status changed = change();
  const auto reason = ReasonOf(changed);
  if (!reason || reason->reason != "DISK_FULL" || !reserve_.Release()) {
    return changed;
  }
  Log(LogLevel::kWarning, "catalog: the disk is full, its reserve is in use");
  return change();
}

void Catalog::DropUnnamed(const std::string& blob) {
  {
    MutexLock lock(&mutex_);
    if (!database_->Settle().ok()) return;
  }
  Drop(blob);
}

absl::StatusOr<int64_t> Catalog::CountOf(absl::string_view sql) {
  Query query(*database_, sql);
  const int64_t count = query.Next() ? query.Int(0) : 0;
  SEER_RETURN_IF_ERROR(query.status());
  return count;
}

// ---- Datasets

Dataset Catalog::Filled(DatasetRow row) {
  row.record.damage = DamageOf(row.blob);
  row.record.path = blobs_.PathOf(row.blob);
  return std::move(row.record);
}

absl::StatusOr<Dataset> Catalog::GetDataset(absl::string_view id) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(DatasetRow row, FindDataset(*database_, id));
  return Filled(std::move(row));
}

absl::StatusOr<Page<Dataset>> Catalog::ListDatasets(const PageRequest& page) {
  MutexLock lock(&mutex_);
  SEER_ASSIGN_OR_RETURN(Page<DatasetRow> rows, DatasetPage(*database_, page));
  Page<Dataset> datasets;
  for (DatasetRow& row : rows.items) {
    datasets.items.push_back(Filled(std::move(row)));
  }
  datasets.next_token = std::move(rows.next_token);
  return datasets;
}

absl::Status Catalog::SetDatasetTokens(absl::string_view id,
                                       int64_t num_tokens) {
  MutexLock lock(&mutex_);
  SEER_RETURN_IF_ERROR(Query(*database_,
                             "UPDATE datasets SET num_tokens = ? WHERE id = ?",
                             num_tokens, id)
                           .Run());
  return database_->NumChanged() == 0 ? NotFound("Dataset", id)
                                      : absl::OkStatus();
}

absl::Status Catalog::DeleteDataset(absl::string_view id) {
  std::string blob;
  SEER_RETURN_IF_ERROR(Freeing([&]() -> absl::Status {
    MutexLock lock(&mutex_);
    SEER_ASSIGN_OR_RETURN(const DatasetRow row, FindDataset(*database_, id));
    Query user(*database_,
               "SELECT id FROM jobs WHERE dataset = ? AND state <= ?", id,
               static_cast<int>(JobState::kPaused));
    if (user.Next()) {
      return Refusal(
          absl::StatusCode::kFailedPrecondition, "IN_USE",
          absl::StrCat("calibrationJobs/", user.Text(0), " uses the dataset"));
    }
    SEER_RETURN_IF_ERROR(user.status());
    Transaction transaction(*database_, "catalog.delete");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_RETURN_IF_ERROR(
        Query(*database_, "DELETE FROM datasets WHERE seq = ?", row.seq).Run());
    SEER_RETURN_IF_ERROR(transaction.Commit());
    damage_.erase(row.blob);
    blob = row.blob;
    return absl::OkStatus();
  }));
  Drop(blob);
  return absl::OkStatus();
}

}  // namespace seer
