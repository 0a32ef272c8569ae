#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/catalog/rows/row_columns.h"
#include "server/catalog/rows/row_queries.h"
#include "server/catalog/rows/rows.h"

namespace seer {
namespace {

constexpr char kSelectUpload[] =
    "SELECT seq, id, request_id, kind, format, size, sha256, display_name, "
    "blob, committed_size, state, result, failure_reason, failure_message, "
    "create_time, expire_time FROM uploads ";

}  // namespace

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

absl::StatusOr<UploadRow> FindUpload(Database& database, absl::string_view id) {
  return Find<UploadRow>(database, kSelectUpload, "Upload", id);
}

absl::StatusOr<std::optional<UploadRow>> FindUploadByRequest(
    Database& database, absl::string_view request_id) {
  return SelectOne<UploadRow>(database, kSelectUpload, "WHERE request_id = ?",
                              request_id);
}

absl::StatusOr<std::vector<UploadRow>> SelectUploads(
    Database& database, absl::string_view where, std::optional<int64_t> value) {
  if (!value) return Select<UploadRow>(database, kSelectUpload, where);
  return Select<UploadRow>(database, kSelectUpload, where, *value);
}

absl::StatusOr<Page<UploadRow>> UploadPage(Database& database,
                                           const PageRequest& page) {
  return SelectPage<UploadRow>(database, kSelectUpload, "", "seq", page);
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

}  // namespace seer
