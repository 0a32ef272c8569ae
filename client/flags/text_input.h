// Text from files and arguments.
#ifndef SEER_CLIENT_FLAGS_TEXT_INPUT_H_
#define SEER_CLIENT_FLAGS_TEXT_INPUT_H_

#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace seer {

// The bytes of the file. NOT_FOUND names the file and says why.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// The same, where "-" stands for the rest of `in`, standard input.
absl::StatusOr<std::string> ReadTextFileOr(const std::string& path,
                                           std::istream& in);

// INVALID_ARGUMENT names `what` and the offset where `text` is not valid UTF-8.
absl::Status CheckUtf8(absl::string_view what, absl::string_view text);

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_TEXT_INPUT_H_
