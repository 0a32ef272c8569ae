#include "server/catalog/storage/database.h"

#include <sqlite3.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fault_point.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "server/catalog/storage/storage_error.h"

namespace seer {

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &connection,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  auto database = std::unique_ptr<Database>(new Database(connection, path));
  if (code != SQLITE_OK) return database->Error(code, "open");
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // A lock of one's own spares the file of shared memory that WAL has else.
  for (const char* pragma :
       {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL", "PRAGMA journal_size_limit = 4194304"}) {
    Query query(*database, pragma);
    while (query.Next()) {
    }
    SEER_RETURN_IF_ERROR(query.status());
  }
  return database;
}

Database::~Database() { sqlite3_close(connection_); }

absl::Status Database::Error(int code, absl::string_view action) const {
  const int system_error = errno;
  // SQLite forgets its own copy where a commit could not write or sync.
  int error = connection_ == nullptr ? 0 : sqlite3_system_errno(connection_);
  if (error == 0) error = system_error;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return StorageError(ENOSPC, action, path_);
    case SQLITE_READONLY:
      return StorageError(EROFS, action, path_);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (error != 0) return StorageError(error, action, path_);
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      Log(LogLevel::kError, "catalog: the file is damaged, or no database",
          {{"path", path_}});
      return absl::DataLossError(
          "the catalog's database is damaged, or no database");
    case SQLITE_BUSY:
      return absl::AlreadyExistsError(
          "the catalog's database is in use by another program");
    default:
      break;
  }
  const std::string cause =
      absl::StrCat(sqlite3_errstr(code), connection_ == nullptr ? "" : ": ",
                   connection_ == nullptr ? "" : sqlite3_errmsg(connection_));
  Log(LogLevel::kError, "catalog: the database failed",
      {{"action", action}, {"path", path_}, {"error", cause}});
  return absl::InternalError(
      absl::StrCat("cannot ", action, " the catalog's database: ", cause));
}

absl::Status Database::Execute(const std::string& sql) {
  errno = 0;  // for Error, here and below
  const int code =
      sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  return Error(code, "change");
}

absl::Status Database::Commit() {
  errno = 0;
  const int code =
      sqlite3_exec(connection_, "COMMIT", nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  // A full disk cuts the pages off before the last, which would count.
  if ((code & 0xff) != SQLITE_FULL) settled_ = false;
  return Error(code, "commit");
}

absl::Status Database::Settle() {
  if (settled_) return absl::OkStatus();
  Transaction transaction(*this, "database.settle");
  SEER_RETURN_IF_ERROR(transaction.status());
  int64_t version = 0;
  {
    Query query(*this, "PRAGMA user_version");
    if (query.Next()) version = query.Int(0);
    SEER_RETURN_IF_ERROR(query.status());
  }
  // Unlike a row that stays as it is, this always makes a page to write.
  SEER_RETURN_IF_ERROR(
      Execute(absl::StrCat("PRAGMA user_version = ", version)));
  SEER_RETURN_IF_ERROR(transaction.Commit());
  settled_ = true;
  return absl::OkStatus();
}

absl::Status Database::Checkpoint() {
  if (FaultPoint("database.checkpoint")) {
    return StorageError(errno, "sync", path_);
  }
  Query query(*this, "PRAGMA wal_checkpoint");
  const bool all = query.Next() && query.Int(0) == 0 &&
                   query.Int(1) == query.Int(2);  // pages there, pages done
  SEER_RETURN_IF_ERROR(query.status());
  if (all) return absl::OkStatus();
  return absl::InternalError("the catalog's database keeps pages in its WAL");
}

int64_t Database::NumChanged() const { return sqlite3_changes64(connection_); }

void Query::Prepare(absl::string_view sql) {
  Check(sqlite3_prepare_v2(database_.connection_, sql.data(),
                           static_cast<int>(sql.size()), &statement_, nullptr));
}

Query::~Query() { sqlite3_finalize(statement_); }

void Query::Check(int code) {
  if (code != SQLITE_OK && status_.ok()) {
    status_ = database_.Error(code, "query");
  }
}

void Query::Bind(int64_t value) {
  Check(sqlite3_bind_int64(statement_, ++num_bound_, value));
}

void Query::Bind(double value) {
  Check(sqlite3_bind_double(statement_, ++num_bound_, value));
}

void Query::Bind(absl::string_view value) {
  // A null pointer would bind NULL.
  Check(sqlite3_bind_text64(statement_, ++num_bound_,
                            value.empty() ? "" : value.data(), value.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8));
}

bool Query::Next() {
  if (!status_.ok()) return false;
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = database_.Error(code, "query");
  return false;
}

absl::Status Query::Run() {
  if (status_.ok() && FaultPoint("database.run")) {
    status_ = StorageError(errno, "query", database_.path_);
  }
  while (Next()) {
  }
  return status_;
}

int64_t Query::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Query::Double(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Query::Text(int column) const {
  const auto* const text =
      reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return "";
  return std::string(text, sqlite3_column_bytes(statement_, column));
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Transaction::Transaction(Database& database, const char* name)
    : database_(database), name_(name) {
  status_ = database_.Execute("BEGIN IMMEDIATE");
  open_ = status_.ok();
}

Transaction::~Transaction() {
  // An error may have rolled it back already; then there is nothing to do.
  if (open_) database_.Execute("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  SEER_RETURN_IF_ERROR(status_);
  if (FaultPoint(name_)) return StorageError(errno, "commit", name_);
  SEER_RETURN_IF_ERROR(database_.Commit());
  open_ = false;
  // The commit stands, whatever the hook says.
  static_cast<void>(FaultPoint(name_));
  return absl::OkStatus();
}

}  // namespace seer
