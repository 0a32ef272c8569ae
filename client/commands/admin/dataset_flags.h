// A dataset made of files, from flags and arguments.
#ifndef SEER_CLIENT_COMMANDS_ADMIN_DATASET_FLAGS_H_
#define SEER_CLIENT_COMMANDS_ADMIN_DATASET_FLAGS_H_

#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/admin/upload_files.h"
#include "client/flags/flag_set.h"

namespace seer {

class DatasetFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // Errors are those of UploadFiles::Dataset.
  absl::StatusOr<UploadFiles> Files(absl::Span<const std::string> paths,
                                    std::istream& in) const;
  // Of --label; "" where it is not given.
  const std::string& label() const { return label_; }

 private:
  std::string format_ = "auto";
  std::string label_;
};

}  // namespace seer

#endif  // SEER_CLIENT_COMMANDS_ADMIN_DATASET_FLAGS_H_
