#ifndef SEER_BASE_STATUS_MACROS_H_
#define SEER_BASE_STATUS_MACROS_H_

// Return early on errors, in functions that return absl::Status or
// absl::StatusOr<T>.
//
//   absl::Status Load(const std::string& path) {
//     SEER_RETURN_IF_ERROR(CheckPath(path));
//     SEER_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
//     ...

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Evaluates `expr`, an absl::Status, once, and returns it where it is an error.
#define SEER_RETURN_IF_ERROR(expr)                              \
  do {                                                          \
    if (absl::Status seer_status = (expr); !seer_status.ok()) { \
      return seer_status;                                       \
    }                                                           \
  } while (false)

// Evaluates `expr`, an absl::StatusOr<T>, once. Returns its status where it is
// an error; else moves its value into `lhs`, a declaration or an lvalue. A type
// in `lhs` cannot hold a comma outside parentheses: write `auto` there.
// Expands to several statements: needs braces after an `if`.
#define SEER_ASSIGN_OR_RETURN(lhs, expr)                                    \
  SEER_ASSIGN_OR_RETURN_TO(SEER_UNIQUE_NAME(seer_status_or, __LINE__), lhs, \
                           expr)

#define SEER_ASSIGN_OR_RETURN_TO(status_or, lhs, expr) \
  auto status_or = (expr);                             \
  if (!status_or.ok()) {                               \
    return std::move(status_or).status();              \
  }                                                    \
  lhs = *std::move(status_or)

#define SEER_UNIQUE_NAME(prefix, line) SEER_UNIQUE_NAME_PASTE(prefix, line)
#define SEER_UNIQUE_NAME_PASTE(prefix, line) prefix##_##line

#endif  // SEER_BASE_STATUS_MACROS_H_
