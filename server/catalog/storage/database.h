// SQLite, as far as the catalog needs it.
#ifndef SEER_SERVER_CATALOG_STORAGE_DATABASE_H_
#define SEER_SERVER_CATALOG_STORAGE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace seer {

// One connection, which holds the file as its own. A commit is on disk when it
// returns (WAL, synchronous=FULL). Not thread-safe.
//
// Errors: a full or read-only disk as StorageError has it. DATA_LOSS: the file
// is damaged or no database. ALREADY_EXISTS: another program uses it. INTERNAL:
// anything else.
class Database {
 public:
  // Makes the file where it is missing.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Runs statements that have no parameters and give no rows.
  absl::Status Execute(const std::string& sql);
  // Rows that the last statement changed.
  int64_t NumChanged() const;

  // Whoever removes what a failed change named calls this first. Where a sync
  // failed in a commit, its pages are in the WAL's file all the same, and the
  // next Open after a crash may find it done. This writes over them; it does
  // nothing where no commit failed so. After an error the doubt remains.
  absl::Status Settle();

  // Brings all commits to the file itself. Before, what Open found in the WAL
  // after a crash may be in memory alone, of a sync that failed or never was.
  // Passes the fault point "database.checkpoint".
  absl::Status Checkpoint();

 private:
  friend class Query;
  friend class Transaction;
  Database(sqlite3* connection, std::string path)
      : connection_(connection), path_(std::move(path)) {}
  // The status of SQLite's result code `code`, not that of success.
  absl::Status Error(int code, absl::string_view action) const;
  absl::Status Commit();

  sqlite3* const connection_;
  const std::string path_;
  bool settled_ = true;
};

// One statement with its parameters, each `?` of it in turn.
//
//   Query query(database, "SELECT size FROM blobs WHERE id = ?", id);
//   while (query.Next()) total += query.Int(0);
//   SEER_RETURN_IF_ERROR(query.status());
class Query {
 public:
  template <typename... Values>
  Query(Database& database, absl::string_view sql, const Values&... values)
      : database_(database) {
    Prepare(sql);
    (Bind(values), ...);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  // Goes to the next row; false at the end and at an error.
  bool Next();
  // Runs a statement that gives no rows. Passes the fault point "database.run".
  absl::Status Run();
  // OK while all went well.
  const absl::Status& status() const { return status_; }

  // Columns of the row, from 0. Only after Next returned true.
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  void Prepare(absl::string_view sql);
  void Bind(int64_t value);
  void Bind(int value) { Bind(static_cast<int64_t>(value)); }
  void Bind(double value);
  void Bind(absl::string_view value);
  void Bind(const std::string& value) { Bind(absl::string_view(value)); }
  void Bind(const char* value) { Bind(absl::string_view(value)); }
  template <typename T>
  void Bind(const std::optional<T>& value) {  // nullopt: NULL
    if (value.has_value()) {
      Bind(*value);
    } else {
      ++num_bound_;
    }
  }
  void Check(int code);

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  int num_bound_ = 0;
  absl::Status status_;
};

// Several statements as one: all of them by Commit, or none where it is
// destroyed before. One at a time.
class Transaction {
 public:
  // `name` is that of a fault point, passed before the commit and after it.
  Transaction(Database& database, const char* name);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // Of its beginning: where not OK, Commit fails with it.
  const absl::Status& status() const { return status_; }
  absl::Status Commit();

 private:
  Database& database_;
  const char* const name_;
  bool open_ = false;
  absl::Status status_;
};

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_STORAGE_DATABASE_H_
