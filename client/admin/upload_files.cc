#include "client/admin/upload_files.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/flags/text_input.h"
#include "client/output/result_json.h"

namespace seer {
namespace {

constexpr size_t kMaxLine = 16 << 20;    // bytes, the server's limit
constexpr size_t kMaxDisplayName = 128;  // bytes, the server's limit
constexpr size_t kTokenSize = 4;         // bytes of a token id
constexpr char kDocumentEnd[] = "\xFF\xFF\xFF\xFF";  // the id -1

std::string NameOf(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

absl::StatusOr<v1::UploadFormat> FormatOf(const std::string& path,
                                          const std::string& format) {
  if (format == "text") return v1::UPLOAD_FORMAT_TEXT;
  if (format == "json_lines") return v1::UPLOAD_FORMAT_JSON_LINES;
  if (format == "token_ids") return v1::UPLOAD_FORMAT_TOKEN_IDS;
  if (format != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("--format cannot be \"", format,
                     "\": must be auto, text, json_lines or token_ids"));
  }
  const bool is_json_lines = absl::EndsWithIgnoreCase(path, ".jsonl") ||
                             absl::EndsWithIgnoreCase(path, ".ndjson");
  return is_json_lines ? v1::UPLOAD_FORMAT_JSON_LINES : v1::UPLOAD_FORMAT_TEXT;
}

// The last part of the first name, fit to be a display name.
std::string DisplayName(absl::Span<const std::string> paths) {
  std::string name = NameOf(paths[0]);
  name = name.substr(name.rfind('/') + 1);
  const bool shown = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (!shown || !CheckUtf8("", name).ok()) name = "file";
  if (paths.size() > 1)
    absl::StrAppend(&name, " and ", paths.size() - 1, " more");
  return name.size() <= kMaxDisplayName ? name : "files";
}

absl::string_view TextOf(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

absl::Status CheckTokenIds(const std::string& path, absl::string_view bytes) {
  if (bytes.size() % kTokenSize == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(NameOf(path), " has ", bytes.size(),
                   " bytes: token ids are int32, 4 bytes each"));
}

absl::Status Check(const std::string& path, v1::UploadFormat format,
                   absl::string_view bytes) {
  if (format == v1::UPLOAD_FORMAT_TOKEN_IDS) return CheckTokenIds(path, bytes);
  return CheckUtf8(NameOf(path), bytes);
}

absl::Status AppendLine(const std::string& path, std::string text,
                        std::string* lines) {
  const std::string line = ToText(Json{{"text", std::move(text)}});
  if (line.size() > kMaxLine) {
    return absl::InvalidArgumentError(
        absl::StrCat(NameOf(path),
                     " is too large for one document among several (16 MiB): "
                     "split it, or upload it alone"));
  }
  absl::StrAppend(lines, line, "\n");
  return absl::OkStatus();
}

// Adds a checked file that is not empty to those before.
absl::Status Append(const std::string& path, v1::UploadFormat format,
                    std::string bytes, std::string* all) {
  switch (format) {
    case v1::UPLOAD_FORMAT_TEXT:
      return AppendLine(path, std::move(bytes), all);
    case v1::UPLOAD_FORMAT_TOKEN_IDS:
      if (!all->empty()) all->append(kDocumentEnd, kTokenSize);
      all->append(bytes);
      return absl::OkStatus();
    default:
      all->append(bytes);
      if (bytes.back() != '\n') all->push_back('\n');
      return absl::OkStatus();
  }
}

absl::Status CheckPaths(absl::Span<const std::string> paths) {
  if (paths.empty()) return absl::InvalidArgumentError("no FILE is given");
  if (std::count(paths.begin(), paths.end(), "-") > 1) {
    return absl::InvalidArgumentError("standard input can be read only once");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UploadFiles> UploadFiles::Dataset(
    absl::Span<const std::string> paths, const std::string& format,
    std::istream& in) {
  SEER_RETURN_IF_ERROR(CheckPaths(paths));
  UploadFiles files;
  files.display_name_ = DisplayName(paths);
  if (paths.size() == 1) {
    SEER_ASSIGN_OR_RETURN(files.format_, FormatOf(paths[0], format));
    if (paths[0] == "-") {
      SEER_ASSIGN_OR_RETURN(files.text_, ReadTextFileOr("-", in));
    } else {
      SEER_ASSIGN_OR_RETURN(files.file_, MappedFile::Open(paths[0]));
    }
    SEER_RETURN_IF_ERROR(
        Check(paths[0], files.format_, TextOf(files.content().bytes)));
  } else {
    for (const std::string& path : paths) {
      SEER_ASSIGN_OR_RETURN(const v1::UploadFormat each,
                            FormatOf(path, format));
      SEER_ASSIGN_OR_RETURN(std::string bytes, ReadTextFileOr(path, in));
      SEER_RETURN_IF_ERROR(Check(path, each, bytes));
      if (bytes.empty()) continue;
      SEER_RETURN_IF_ERROR(Append(path, each, std::move(bytes), &files.text_));
    }
    files.format_ = format == "token_ids" ? v1::UPLOAD_FORMAT_TOKEN_IDS
                                          : v1::UPLOAD_FORMAT_JSON_LINES;
  }
  if (files.content().bytes.empty()) {
    return absl::InvalidArgumentError("there is nothing in the files given");
  }
  return files;
}

absl::StatusOr<UploadFiles> UploadFiles::GateSet(const std::string& path) {
  UploadFiles files;
  files.kind_ = v1::UPLOAD_KIND_GATE_SET;
  files.format_ = v1::UPLOAD_FORMAT_SAFETENSORS;
  files.display_name_ = DisplayName({path});
  SEER_ASSIGN_OR_RETURN(files.file_, MappedFile::Open(path));
  if (files.content().bytes.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is empty"));
  }
  return files;
}

UploadContent UploadFiles::content() const {
  UploadContent content;
  content.kind = kind_;
  content.format = format_;
  content.display_name = display_name_;
  content.bytes =
      file_.has_value()
          ? file_->bytes()
          : absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text_.data()),
                                text_.size());
  return content;
}

}  // namespace seer
