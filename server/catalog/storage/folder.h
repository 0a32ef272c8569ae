// Folders that last.
#ifndef SEER_SERVER_CATALOG_STORAGE_FOLDER_H_
#define SEER_SERVER_CATALOG_STORAGE_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seer {

// Errors are StorageError's.

// Makes the folder `path`, on disk, where it is missing; its parent must be
// there.
absl::Status MakeFolder(const std::string& path);

// Brings to disk which files are in it. Passes the fault point "folder.sync".
absl::Status SyncFolder(const std::string& path);

// The same folder without symbolic links on the way.
absl::StatusOr<std::string> RealPath(const std::string& path);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_STORAGE_FOLDER_H_
