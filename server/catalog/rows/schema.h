#ifndef SEER_SERVER_CATALOG_ROWS_SCHEMA_H_
#define SEER_SERVER_CATALOG_ROWS_SCHEMA_H_

#include "absl/status/status.h"
#include "server/catalog/storage/database.h"

namespace seer {

// The version that this program writes: PRAGMA user_version.
inline constexpr int kSchemaVersion = 1;

// Brings a database to kSchemaVersion, each step of it done or not done; one
// that is there already is not written to. FAILED_PRECONDITION: made by a newer
// server or by another program, or new and not `may_be_new`.
absl::Status BringSchemaUpToDate(Database& database, bool may_be_new);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_ROWS_SCHEMA_H_
