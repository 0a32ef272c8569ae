// Files of people as one file of the server's.
#ifndef SEER_CLIENT_ADMIN_UPLOAD_FILES_H_
#define SEER_CLIENT_ADMIN_UPLOAD_FILES_H_

#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file/mapped_file.h"
#include "client/admin/upload_bytes.h"
#include "proto/seer/v1/gate_admin.pb.h"

namespace seer {

// Bytes to upload, and whatever holds them.
class UploadFiles {
 public:
  // One dataset of all `paths`, in their order; "-", once, is the rest of `in`.
  // `format` is "text", "json_lines", "token_ids" or "auto": JSON lines where a
  // name ends in .jsonl or .ndjson, else text. A text is one document: a single
  // one is sent as it is, several become JSON lines. JSON lines and token ids
  // of several files are put one after the other. A single file is read where
  // it lies and must not be cut short meanwhile; several are put together in
  // memory.
  //
  // INVALID_ARGUMENT: no path, an unknown format, nothing but empty files, a
  // text that is not UTF-8 or, among several, makes a line over the server's 16
  // MiB; token ids whose size is no multiple of 4 bytes. NOT_FOUND and the
  // like: a file cannot be read. Messages name the file.
  static absl::StatusOr<UploadFiles> Dataset(
      absl::Span<const std::string> paths, const std::string& format,
      std::istream& in);
  // A gate set's file. Its content is the server's to check.
  static absl::StatusOr<UploadFiles> GateSet(const std::string& path);

  UploadFiles(UploadFiles&&) = default;
  UploadFiles& operator=(UploadFiles&&) = default;

  // Valid as long as this.
  UploadContent content() const;
  // In place of the name made of the files' names: "emma.txt and 3 more".
  void set_display_name(std::string name) { display_name_ = std::move(name); }

 private:
  UploadFiles() = default;

  v1::UploadKind kind_ = v1::UPLOAD_KIND_DATASET;
  v1::UploadFormat format_ = v1::UPLOAD_FORMAT_UNSPECIFIED;
  std::string display_name_;
  // One of the two.
  std::optional<MappedFile> file_;
  std::string text_;
};

}  // namespace seer

#endif  // SEER_CLIENT_ADMIN_UPLOAD_FILES_H_
