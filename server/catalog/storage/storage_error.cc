#include "server/catalog/storage/storage_error.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "engine/errors.h"

namespace seer {

absl::Status StorageError(int error, absl::string_view action,
                          absl::string_view path) {
  const std::string cause = std::strerror(error);
  Log(LogLevel::kError, "durable state: a system call failed",
      {{"action", action}, {"path", path}, {"error", cause}});
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return WithReason(
          absl::ResourceExhaustedError("the server's disk is full"),
          {"DISK_FULL", {}, {}});
    case EROFS:
    case EACCES:
    case EPERM:
      return WithReason(
          absl::FailedPreconditionError("the server may not write its disk"),
          {"READ_ONLY", {}, {}});
    default:
      return absl::InternalError(absl::StrCat("the server cannot ", action,
                                              " its durable state: ", cause));
  }
}

}  // namespace seer
