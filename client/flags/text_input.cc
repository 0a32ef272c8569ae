#include "client/flags/text_input.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/text/utf8.h"

namespace seer {

namespace {

// Unlike stream iterators, read() turns errors into badbit, not exceptions.
absl::StatusOr<std::string> ReadAll(const std::string& name, std::istream& in) {
  std::string text;
  char buffer[65536];
  errno = 0;
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(in.gcount()));
  }
  if (!in.eof()) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", name, ": ", std::strerror(errno)));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  return ReadAll(path, file);
}

absl::StatusOr<std::string> ReadTextFileOr(const std::string& path,
                                           std::istream& in) {
  return path == "-" ? ReadAll("standard input", in) : ReadTextFile(path);
}

absl::Status CheckUtf8(absl::string_view what, absl::string_view text) {
  const size_t offset = FirstInvalidUtf8(text);
  if (offset == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " is not valid UTF-8 at byte ", offset));
}

}  // namespace seer
