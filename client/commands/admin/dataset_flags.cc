#include "client/commands/admin/dataset_flags.h"

#include "base/status_macros.h"

namespace seer {

void DatasetFlags::AddTo(FlagSet* flags) {
  flags->Group("Dataset");
  flags->Add("format", &format_, "FORMAT",
             "text, json_lines (objects with a member \"text\"), token_ids "
             "(int32, -1 between documents) or auto: json_lines for .jsonl and "
             ".ndjson, else text; default auto");
  flags->Add("label", &label_, "TEXT",
             "a name for people; default: made of the files' names");
}

absl::StatusOr<UploadFiles> DatasetFlags::Files(
    absl::Span<const std::string> paths, std::istream& in) const {
  SEER_ASSIGN_OR_RETURN(UploadFiles files,
                        UploadFiles::Dataset(paths, format_, in));
  if (!label_.empty()) files.set_display_name(label_);
  return files;
}

}  // namespace seer
