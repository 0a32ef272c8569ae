#ifndef SEER_SERVER_PORT_FILE_H_
#define SEER_SERVER_PORT_FILE_H_

#include <sys/stat.h>

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace seer {

// A file that says which port this process serves, while it does. Another
// process may be told to write the same file, and does so when it serves: the
// file is then that one's.
class PortFile {
 public:
  // An empty path: there is no file.
  explicit PortFile(std::string path);
  // Removes the file if it is still the one that Write wrote.
  ~PortFile();
  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;

  // Writes a line with `port`, in place of whatever an earlier process left.
  // Errors as those of WriteFileAtomically.
  absl::Status Write(int port);

 private:
  const std::string path_;
  std::optional<struct stat> written_;
};

}  // namespace seer

#endif  // SEER_SERVER_PORT_FILE_H_
