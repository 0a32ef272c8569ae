#include "server/catalog/rows.h"

#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/errors.h"
#include "server/catalog/record_json.h"
#include "server/catalog/refusals.h"

namespace seer {
namespace {

constexpr char kSelectUpload[] =
    "SELECT seq, id, request_id, kind, format, size, sha256, display_name, "
    "blob, committed_size, state, result, failure_reason, failure_message, "
    "create_time, expire_time FROM uploads ";
constexpr char kSelectDataset[] =
    "SELECT seq, id, display_name, format, size, sha256, blob, num_documents, "
    "num_tokens, create_time FROM datasets ";
constexpr char kSelectJob[] =
    "SELECT seq, id, request_id, spec, state, attempts, checkpoint_blob, "
    "checkpoint_size, checkpoint_sha256, progress, quality, gate_set, "
    "failure_reason, failure_message, create_time, start_time, end_time, "
    "request_digest FROM jobs ";
constexpr char kSelectGateSet[] =
    "SELECT seq, id, model, display_name, design, fingerprint, has_profile, "
    "provenance, size, sha256, blob, source, quality, create_time "
    "FROM gate_sets ";
constexpr char kSelectRevision[] =
    "SELECT revision, stable, canary, canary_fraction, previous, update_time, "
    "cause, message FROM rollout_revisions ";

absl::Time ReadTime(const Query& query, int column, absl::Time if_null) {
  if (query.IsNull(column)) return if_null;
  return absl::FromUnixMicros(query.Int(column));
}

std::optional<int64_t> StoredTime(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) {
    return std::nullopt;
  }
  return absl::ToUnixMicros(time);
}

std::optional<std::string> StoredText(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<Failure> ReadFailure(const Query& query, int column) {
  if (query.IsNull(column)) return std::nullopt;
  return Failure{query.Text(column), query.Text(column + 1)};
}

std::optional<std::string> StoredReason(const std::optional<Failure>& failure) {
  if (!failure) return std::nullopt;
  return failure->reason;
}

std::optional<std::string> StoredMessage(
    const std::optional<Failure>& failure) {
  if (!failure) return std::nullopt;
  return failure->message;
}

std::optional<GateQuality> ReadQuality(const Query& query, int column) {
  if (query.IsNull(column)) return std::nullopt;
  GateQuality quality;
  FromJson(query.Text(column), quality);
  return quality;
}

std::optional<std::string> StoredQuality(
    const std::optional<GateQuality>& quality) {
  if (!quality) return std::nullopt;
  return ToJson(*quality);
}

void Read(const Query& query, UploadRow& row) {
  Upload& upload = row.record;
  row.seq = query.Int(0);
  upload.id = query.Text(1);
  upload.spec.request_id = query.Text(2);
  upload.spec.kind = static_cast<UploadKind>(query.Int(3));
  upload.spec.format = static_cast<UploadFormat>(query.Int(4));
  upload.spec.size = query.Int(5);
  upload.spec.sha256 = query.Text(6);
  upload.spec.display_name = query.Text(7);
  row.blob = query.Text(8);
  upload.committed_size = query.Int(9);
  upload.state = static_cast<UploadState>(query.Int(10));
  upload.result_id = query.Text(11);
  upload.failure = ReadFailure(query, 12);
  upload.create_time = absl::FromUnixMicros(query.Int(14));
  upload.expire_time = absl::FromUnixMicros(query.Int(15));
}

void Read(const Query& query, DatasetRow& row) {
  Dataset& dataset = row.record;
  row.seq = query.Int(0);
  dataset.id = query.Text(1);
  dataset.display_name = query.Text(2);
  dataset.format = static_cast<UploadFormat>(query.Int(3));
  dataset.size = query.Int(4);
  dataset.sha256 = query.Text(5);
  row.blob = query.Text(6);
  dataset.facts.num_documents = query.Int(7);
  if (!query.IsNull(8)) dataset.facts.num_tokens = query.Int(8);
  dataset.create_time = absl::FromUnixMicros(query.Int(9));
}

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

void Read(const Query& query, GateSetRow& row) {
  GateSet& gate_set = row.record;
  row.seq = query.Int(0);
  gate_set.id = query.Text(1);
  gate_set.facts.model = query.Text(2);
  gate_set.display_name = query.Text(3);
  gate_set.facts.design = query.Text(4);
  gate_set.facts.fingerprint = query.Text(5);
  gate_set.facts.has_profile = query.Int(6) != 0;
  FromJson(query.Text(7), gate_set.facts.provenance);
  gate_set.size = query.Int(8);
  gate_set.sha256 = query.Text(9);
  row.blob = query.Text(10);
  gate_set.source = query.Text(11);
  gate_set.quality = ReadQuality(query, 12);
  gate_set.create_time = absl::FromUnixMicros(query.Int(13));
}

void Read(const Query& query, RevisionRow& row) {
  Rollout& rollout = row.record.rollout;
  row.seq = query.Int(0);
  rollout.stable = query.Text(1);
  rollout.canary = query.Text(2);
  rollout.canary_fraction = query.Double(3);
  rollout.previous = query.Text(4);
  rollout.etag = absl::StrCat("r", row.seq);
  rollout.update_time = absl::FromUnixMicros(query.Int(5));
  row.record.cause = static_cast<RolloutCause>(query.Int(6));
  row.record.message = query.Text(7);
}

template <typename Row, typename... Values>
absl::StatusOr<std::vector<Row>> Select(Database& database,
                                        absl::string_view select,
                                        absl::string_view where,
                                        const Values&... values) {
  std::vector<Row> rows;
  Query query(database, absl::StrCat(select, where), values...);
  while (query.Next()) Read(query, rows.emplace_back());
  SEER_RETURN_IF_ERROR(query.status());
  return rows;
}

template <typename Row>
absl::StatusOr<std::optional<Row>> SelectOne(Database& database,
                                             absl::string_view select,
                                             absl::string_view where,
                                             absl::string_view value) {
  SEER_ASSIGN_OR_RETURN(std::vector<Row> rows,
                        Select<Row>(database, select, where, value));
  if (rows.empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows[0]));
}

template <typename Row>
absl::StatusOr<Row> Find(Database& database, absl::string_view select,
                         absl::string_view type, absl::string_view id) {
  SEER_ASSIGN_OR_RETURN(std::optional<Row> row,
                        SelectOne<Row>(database, select, "WHERE id = ?", id));
  if (!row.has_value()) return NotFound(type, id);
  return *std::move(row);
}

// `by` is the column that pages go down by; `where` may hold one `?` for
// `value` and, if not empty, ends in "AND ".
template <typename Row, typename... Value>
absl::StatusOr<Page<Row>> SelectPage(
    Database& database, absl::string_view select, absl::string_view where,
    absl::string_view by, const PageRequest& page, const Value&... value) {
  if (page.limit < 1 || page.limit > 1000) {
    return InvalidField("page_size", "must be in [1, 1000]");
  }
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!page.token.empty() &&
      (!absl::SimpleAtoi(page.token, &before) || before < 1)) {
    return InvalidField("page_token", "is not one of this server's");
  }
  Page<Row> result;
  SEER_ASSIGN_OR_RETURN(
      result.items,
      Select<Row>(database, select,
                  absl::StrCat("WHERE ", where, by, " < ? ORDER BY ", by,
                               " DESC LIMIT ?"),
                  value..., before, page.limit + 1));
  if (static_cast<int>(result.items.size()) > page.limit) {
    result.items.pop_back();
    result.next_token = absl::StrCat(result.items.back().seq);
  }
  return result;
}

}  // namespace

absl::StatusOr<UploadRow> FindUpload(Database& database, absl::string_view id) {
  return Find<UploadRow>(database, kSelectUpload, "Upload", id);
}

absl::StatusOr<DatasetRow> FindDataset(Database& database,
                                       absl::string_view id) {
  return Find<DatasetRow>(database, kSelectDataset, "Dataset", id);
}

absl::StatusOr<JobRow> FindJob(Database& database, absl::string_view id) {
  return Find<JobRow>(database, kSelectJob, "CalibrationJob", id);
}

absl::StatusOr<GateSetRow> FindGateSet(Database& database,
                                       absl::string_view id) {
  return Find<GateSetRow>(database, kSelectGateSet, "GateSet", id);
}

absl::StatusOr<std::optional<UploadRow>> FindUploadByRequest(
    Database& database, absl::string_view request_id) {
  return SelectOne<UploadRow>(database, kSelectUpload, "WHERE request_id = ?",
                              request_id);
}

absl::StatusOr<std::optional<JobRow>> FindJobByRequest(
    Database& database, absl::string_view request_id) {
  return SelectOne<JobRow>(database, kSelectJob, "WHERE request_id = ?",
                           request_id);
}

absl::StatusOr<RevisionRow> LastRevision(Database& database,
                                         absl::string_view model) {
  SEER_ASSIGN_OR_RETURN(
      std::optional<RevisionRow> last,
      SelectOne<RevisionRow>(database, kSelectRevision,
                             "WHERE model = ? ORDER BY revision DESC LIMIT 1",
                             model));
  if (last.has_value()) return *std::move(last);
  RevisionRow none;
  none.record.rollout.etag = "r0";
  return none;
}

absl::StatusOr<std::vector<UploadRow>> SelectUploads(
    Database& database, absl::string_view where, std::optional<int64_t> value) {
  if (!value) return Select<UploadRow>(database, kSelectUpload, where);
  return Select<UploadRow>(database, kSelectUpload, where, *value);
}

absl::StatusOr<std::vector<DatasetRow>> SelectDatasets(
    Database& database, absl::string_view where) {
  return Select<DatasetRow>(database, kSelectDataset, where);
}

absl::StatusOr<std::vector<JobRow>> SelectJobs(Database& database,
                                               absl::string_view where) {
  return Select<JobRow>(database, kSelectJob, where);
}

absl::StatusOr<std::vector<GateSetRow>> SelectGateSets(
    Database& database, absl::string_view where) {
  return Select<GateSetRow>(database, kSelectGateSet, where);
}

absl::StatusOr<Page<UploadRow>> UploadPage(Database& database,
                                           const PageRequest& page) {
  return SelectPage<UploadRow>(database, kSelectUpload, "", "seq", page);
}

absl::StatusOr<Page<DatasetRow>> DatasetPage(Database& database,
                                             const PageRequest& page) {
  return SelectPage<DatasetRow>(database, kSelectDataset, "", "seq", page);
}

absl::StatusOr<Page<JobRow>> JobPage(Database& database,
                                     const PageRequest& page) {
  return SelectPage<JobRow>(database, kSelectJob, "", "seq", page);
}

absl::StatusOr<Page<GateSetRow>> GateSetPage(Database& database,
                                             absl::string_view model,
                                             const PageRequest& page) {
  return SelectPage<GateSetRow>(database, kSelectGateSet, "model = ? AND ",
                                "seq", page, model);
}

absl::StatusOr<Page<RevisionRow>> RevisionPage(Database& database,
                                               absl::string_view model,
                                               const PageRequest& page) {
  return SelectPage<RevisionRow>(database, kSelectRevision, "model = ? AND ",
                                 "revision", page, model);
}

absl::Status Insert(Database& database, const UploadRow& row) {
  const Upload& upload = row.record;
  const NewUpload& spec = upload.spec;
  return Query(database,
               "INSERT INTO uploads (id, request_id, kind, format, size, "
               "sha256, display_name, blob, committed_size, state, result, "
               "create_time, expire_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               upload.id, StoredText(spec.request_id),
               static_cast<int>(spec.kind), static_cast<int>(spec.format),
               spec.size, spec.sha256, spec.display_name, row.blob,
               upload.committed_size, static_cast<int>(upload.state),
               upload.result_id, absl::ToUnixMicros(upload.create_time),
               absl::ToUnixMicros(upload.expire_time))
      .Run();
}

absl::Status Update(Database& database, const UploadRow& row) {
  const Upload& upload = row.record;
  return Query(database,
               "UPDATE uploads SET blob = ?, committed_size = ?, state = ?, "
               "result = ?, failure_reason = ?, failure_message = ?, "
               "expire_time = ? WHERE seq = ?",
               StoredText(row.blob), upload.committed_size,
               static_cast<int>(upload.state), upload.result_id,
               StoredReason(upload.failure), StoredMessage(upload.failure),
               absl::ToUnixMicros(upload.expire_time), row.seq)
      .Run();
}

absl::Status Insert(Database& database, const DatasetRow& row) {
  const Dataset& dataset = row.record;
  return Query(database,
               "INSERT INTO datasets (id, display_name, format, size, sha256, "
               "blob, num_documents, num_tokens, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               dataset.id, dataset.display_name,
               static_cast<int>(dataset.format), dataset.size, dataset.sha256,
               row.blob, dataset.facts.num_documents, dataset.facts.num_tokens,
               absl::ToUnixMicros(dataset.create_time))
      .Run();
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

absl::Status Insert(Database& database, const GateSetRow& row) {
  const GateSet& gate_set = row.record;
  return Query(database,
               "INSERT INTO gate_sets (id, model, display_name, design, "
               "fingerprint, has_profile, provenance, size, sha256, blob, "
               "source, quality, create_time) "
               "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               gate_set.id, gate_set.facts.model, gate_set.display_name,
               gate_set.facts.design, gate_set.facts.fingerprint,
               gate_set.facts.has_profile ? 1 : 0,
               ToJson(gate_set.facts.provenance), gate_set.size,
               gate_set.sha256, row.blob, gate_set.source,
               StoredQuality(gate_set.quality),
               absl::ToUnixMicros(gate_set.create_time))
      .Run();
}

absl::Status Insert(Database& database, absl::string_view model,
                    const RevisionRow& row) {
  const Rollout& rollout = row.record.rollout;
  return Query(database,
               "INSERT INTO rollout_revisions (model, revision, stable, "
               "canary, canary_fraction, previous, update_time, cause, "
               "message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               model, row.seq, rollout.stable, rollout.canary,
               rollout.canary_fraction, rollout.previous,
               absl::ToUnixMicros(rollout.update_time),
               static_cast<int>(row.record.cause), row.record.message)
      .Run();
}

}  // namespace seer
