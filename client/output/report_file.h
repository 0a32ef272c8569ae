// A file that a command writes at its end.
#ifndef SEER_CLIENT_OUTPUT_REPORT_FILE_H_
#define SEER_CLIENT_OUTPUT_REPORT_FILE_H_

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace seer {

class ReportFile {
 public:
  // Opened before the work, so that a wrong path is known then. "": there is no
  // file. INVALID_ARGUMENT names a file that cannot be written.
  absl::Status Open(const std::string& path);

  // Once. Nothing where there is no file. INTERNAL: not all was written.
  absl::Status Write(absl::string_view text);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace seer

#endif  // SEER_CLIENT_OUTPUT_REPORT_FILE_H_
