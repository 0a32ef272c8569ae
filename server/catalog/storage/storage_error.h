#ifndef SEER_SERVER_CATALOG_STORAGE_STORAGE_ERROR_H_
#define SEER_SERVER_CATALOG_STORAGE_STORAGE_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace seer {

// A failed system call on durable state, in words for clients, which name no
// path: only the log gets that. `action` is what was tried ("write"). By
// `error`, an errno:
//   ENOSPC, EDQUOT, EFBIG    RESOURCE_EXHAUSTED, reason DISK_FULL
//   EROFS, EACCES, EPERM     FAILED_PRECONDITION, reason READ_ONLY
//   any other                INTERNAL
absl::Status StorageError(int error, absl::string_view action,
                          absl::string_view path);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_STORAGE_STORAGE_ERROR_H_
