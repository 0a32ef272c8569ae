#include "server/catalog/rows/schema.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace seer {
namespace {

// "SEER": PRAGMA application_id.
constexpr int64_t kApplicationId = 0x53454552;

// kMigrations[v] leads from version v to v + 1; never changed once released.
// Times are microseconds since 1970. `seq` orders a table by age and is never
// used twice. Enumerations are those of records.h, by number.
constexpr const char* kMigrations[] = {
    R"(
CREATE TABLE uploads (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  kind INTEGER NOT NULL,
  format INTEGER NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  display_name TEXT NOT NULL,
  blob TEXT UNIQUE,
  committed_size INTEGER NOT NULL,
  state INTEGER NOT NULL,
  result TEXT NOT NULL,
  failure_reason TEXT,
  failure_message TEXT,
  create_time INTEGER NOT NULL,
  expire_time INTEGER NOT NULL
) STRICT;
CREATE TABLE datasets (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  format INTEGER NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  blob TEXT NOT NULL UNIQUE,
  num_documents INTEGER NOT NULL,
  num_tokens INTEGER,
  create_time INTEGER NOT NULL
) STRICT;
CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  request_digest TEXT NOT NULL,
  dataset TEXT NOT NULL,
  spec TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  checkpoint_blob TEXT UNIQUE,
  checkpoint_size INTEGER,
  checkpoint_sha256 TEXT,
  progress TEXT,
  quality TEXT,
  gate_set TEXT NOT NULL,
  failure_reason TEXT,
  failure_message TEXT,
  create_time INTEGER NOT NULL,
  start_time INTEGER,
  end_time INTEGER
) STRICT;
CREATE TABLE gate_sets (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  display_name TEXT NOT NULL,
  design TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  has_profile INTEGER NOT NULL,
  provenance TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  blob TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,
  quality TEXT,
  create_time INTEGER NOT NULL
) STRICT;
CREATE TABLE rollout_revisions (
  model TEXT NOT NULL,
  revision INTEGER NOT NULL,
  stable TEXT NOT NULL,
  canary TEXT NOT NULL,
  canary_fraction REAL NOT NULL,
  previous TEXT NOT NULL,
  update_time INTEGER NOT NULL,
  cause INTEGER NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (model, revision)
) STRICT;
)",
};
static_assert(sizeof(kMigrations) / sizeof(*kMigrations) == kSchemaVersion);

absl::StatusOr<int64_t> Number(Database& database, absl::string_view sql) {
  Query query(database, sql);
  const int64_t number = query.Next() ? query.Int(0) : 0;
  SEER_RETURN_IF_ERROR(query.status());
  return number;
}

}  // namespace

absl::Status BringSchemaUpToDate(Database& database, bool may_be_new) {
  SEER_ASSIGN_OR_RETURN(int64_t version,
                        Number(database, "PRAGMA user_version"));
  SEER_ASSIGN_OR_RETURN(const int64_t application,
                        Number(database, "PRAGMA application_id"));
  SEER_ASSIGN_OR_RETURN(const int64_t num_tables,
                        Number(database, "SELECT count(*) FROM sqlite_schema"));
  const bool is_new = version == 0 && application == 0 && num_tables == 0;
  if (is_new && !may_be_new) {
    return absl::FailedPreconditionError(
        "the database is gone while blobs are there: put it back from a "
        "backup, or move the whole folder away to begin anew");
  }
  if (!is_new && application != kApplicationId) {
    return absl::FailedPreconditionError(
        "the database was made by another program");
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database was made by a newer server: it has version ", version,
        ", and this server knows versions up to ", kSchemaVersion));
  }
  if (!is_new && version < kSchemaVersion) {
    Log(LogLevel::kInfo, "catalog: the database gets a newer version",
        {{"from", version}, {"to", kSchemaVersion}});
  }
  for (; version < kSchemaVersion; ++version) {
    Transaction transaction(database, "catalog.migrate");
    SEER_RETURN_IF_ERROR(transaction.status());
    SEER_RETURN_IF_ERROR(database.Execute(kMigrations[version]));
    SEER_RETURN_IF_ERROR(database.Execute(
        absl::StrCat("PRAGMA application_id = ", kApplicationId,
                     "; PRAGMA user_version = ", version + 1)));
    SEER_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

}  // namespace seer
