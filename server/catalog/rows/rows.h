// Rows of the database as records, and back.
#ifndef SEER_SERVER_CATALOG_ROWS_ROWS_H_
#define SEER_SERVER_CATALOG_ROWS_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/catalog/records.h"
#include "server/catalog/storage/database.h"

namespace seer {

// A record with what only the catalog knows of it. What depends on files (path,
// damage) is not filled in.
struct UploadRow {
  int64_t seq = 0;
  Upload record;
  std::string blob;  // "" once it has ended
};
struct DatasetRow {
  int64_t seq = 0;
  Dataset record;
  std::string blob;
};
struct JobRow {
  int64_t seq = 0;
  CalibrationJob record;
  std::string checkpoint_blob;  // "": no checkpoint
  int64_t checkpoint_size = 0;
  std::string checkpoint_sha256;
};
struct GateSetRow {
  int64_t seq = 0;
  GateSetRecord record;
  std::string blob;
};
struct RevisionRow {
  int64_t seq = 0;  // the revision, from 1
  RolloutRevision record;
};

// NOT_FOUND with ResourceInfo.
absl::StatusOr<UploadRow> FindUpload(Database& database, absl::string_view id);
absl::StatusOr<DatasetRow> FindDataset(Database& database,
                                       absl::string_view id);
absl::StatusOr<JobRow> FindJob(Database& database, absl::string_view id);
absl::StatusOr<GateSetRow> FindGateSet(Database& database,
                                       absl::string_view id);
// Of an earlier request; nullopt: none, or the id is empty.
absl::StatusOr<std::optional<UploadRow>> FindUploadByRequest(
    Database& database, absl::string_view request_id);
absl::StatusOr<std::optional<JobRow>> FindJobByRequest(
    Database& database, absl::string_view request_id);
// The last; revision 0, with nothing in it, before the first.
absl::StatusOr<RevisionRow> LastRevision(Database& database,
                                         absl::string_view model);

// Rows that meet `where`, which follows "FROM table" and may hold one `?`.
absl::StatusOr<std::vector<UploadRow>> SelectUploads(
    Database& database, absl::string_view where,
    std::optional<int64_t> value = std::nullopt);
absl::StatusOr<std::vector<DatasetRow>> SelectDatasets(Database& database,
                                                       absl::string_view where);
absl::StatusOr<std::vector<JobRow>> SelectJobs(Database& database,
                                               absl::string_view where);
absl::StatusOr<std::vector<GateSetRow>> SelectGateSets(Database& database,
                                                       absl::string_view where);

// A page, newest first. INVALID_ARGUMENT: `page`.
absl::StatusOr<Page<UploadRow>> UploadPage(Database& database,
                                           const PageRequest& page);
absl::StatusOr<Page<DatasetRow>> DatasetPage(Database& database,
                                             const PageRequest& page);
absl::StatusOr<Page<JobRow>> JobPage(Database& database,
                                     const PageRequest& page);
absl::StatusOr<Page<GateSetRow>> GateSetPage(Database& database,
                                             absl::string_view model,
                                             const PageRequest& page);
absl::StatusOr<Page<RevisionRow>> RevisionPage(Database& database,
                                               absl::string_view model,
                                               const PageRequest& page);

absl::Status Insert(Database& database, const UploadRow& row);
absl::Status Insert(Database& database, const DatasetRow& row);
absl::Status Insert(Database& database, const JobRow& row);
absl::Status Insert(Database& database, const GateSetRow& row);
absl::Status Insert(Database& database, absl::string_view model,
                    const RevisionRow& row);
// Writes what can change of an upload or a job.
absl::Status Update(Database& database, const UploadRow& row);
absl::Status Update(Database& database, const JobRow& row);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_ROWS_ROWS_H_
