#ifndef SEER_BASE_FILE_ATOMIC_FILE_H_
#define SEER_BASE_FILE_ATOMIC_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace seer {

// Makes `path` a file whose content is `pieces` one after the other, all or
// nothing: whoever opens `path`, also after a crash at any moment, finds the
// old file or the whole new one. The new one is on disk when this returns OK.
//
// Writes a temporary file in the same folder, syncs it, renames it over `path`
// and syncs the folder. An error is that of the system call that failed, naming
// the path; then `path` is as it was, and the temporary file is gone. (After an
// error of the last sync, of the folder, `path` may be either.)
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::Span<const absl::string_view> pieces);

}  // namespace seer

#endif  // SEER_BASE_FILE_ATOMIC_FILE_H_
