#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/catalog/rows/record_json.h"
#include "server/catalog/rows/row_columns.h"
#include "server/catalog/rows/row_queries.h"
#include "server/catalog/rows/rows.h"

namespace seer {
namespace {

constexpr char kSelectJob[] =
    "SELECT seq, id, request_id, spec, state, attempts, checkpoint_blob, "
    "checkpoint_size, checkpoint_sha256, progress, quality, gate_set, "
    "failure_reason, failure_message, create_time, start_time, end_time, "
    "request_digest FROM jobs ";

}  // namespace

void Read(const Query& query, JobRow& row) {
  CalibrationJob& job = row.record;
  row.seq = query.Int(0);
  job.id = query.Text(1);
  job.request = {query.Text(2), query.Text(17)};
  FromJson(query.Text(3), job.spec);
  job.state = static_cast<JobState>(query.Int(4));
  job.attempts = query.Int(5);
  row.checkpoint_blob = query.Text(6);
  job.has_checkpoint = !row.checkpoint_blob.empty();
  row.checkpoint_size = query.Int(7);
  row.checkpoint_sha256 = query.Text(8);
  if (!query.IsNull(9)) FromJson(query.Text(9), job.progress);
  job.quality = ReadQuality(query, 10);
  job.gate_set_id = query.Text(11);
  job.failure = ReadFailure(query, 12);
  job.create_time = absl::FromUnixMicros(query.Int(14));
  job.start_time = ReadTime(query, 15, absl::InfinitePast());
  job.end_time = ReadTime(query, 16, absl::InfiniteFuture());
}

absl::StatusOr<JobRow> FindJob(Database& database, absl::string_view id) {
  return Find<JobRow>(database, kSelectJob, "CalibrationJob", id);
}

absl::StatusOr<std::optional<JobRow>> FindJobByRequest(
    Database& database, absl::string_view request_id) {
  return SelectOne<JobRow>(database, kSelectJob, "WHERE request_id = ?",
                           request_id);
}

absl::StatusOr<std::vector<JobRow>> SelectJobs(Database& database,
                                               absl::string_view where) {
  return Select<JobRow>(database, kSelectJob, where);
}

absl::StatusOr<Page<JobRow>> JobPage(Database& database,
                                     const PageRequest& page) {
  return SelectPage<JobRow>(database, kSelectJob, "", "seq", page);
}

absl::Status Insert(Database& database, const JobRow& row) {
  const CalibrationJob& job = row.record;
  return Query(database,
               "INSERT INTO jobs (id, request_id, request_digest, dataset, "
               "spec, state, attempts, gate_set, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               job.id, StoredText(job.request.id), job.request.digest,
               job.spec.dataset_id, ToJson(job.spec),
               static_cast<int>(job.state), job.attempts, job.gate_set_id,
               absl::ToUnixMicros(job.create_time))
      .Run();
}

absl::Status Update(Database& database, const JobRow& row) {
  const CalibrationJob& job = row.record;
  const bool has_checkpoint = !row.checkpoint_blob.empty();
  return Query(
             database,
             "UPDATE jobs SET state = ?, attempts = ?, checkpoint_blob = ?, "
             "checkpoint_size = ?, checkpoint_sha256 = ?, progress = ?, "
             "quality = ?, gate_set = ?, failure_reason = ?, "
             "failure_message = ?, start_time = ?, end_time = ? WHERE seq = ?",
             static_cast<int>(job.state), job.attempts,
             StoredText(row.checkpoint_blob),
             has_checkpoint ? std::optional<int64_t>(row.checkpoint_size)
                            : std::nullopt,
             StoredText(row.checkpoint_sha256), ToJson(job.progress),
             StoredQuality(job.quality), job.gate_set_id,
             StoredReason(job.failure), StoredMessage(job.failure),
             StoredTime(job.start_time), StoredTime(job.end_time), row.seq)
      .Run();
}

}  // namespace seer
