#include "server/catalog/catalog_options.h"

#include "server/option_range.h"

namespace seer {

absl::Status CatalogOptions::Validate() const {
  constexpr int64_t kMaxBytes = int64_t{1} << 50;
  constexpr int64_t kMaxCount = 1'000'000;
  absl::Status status;
  if (folder.empty()) status = absl::InvalidArgumentError("folder is empty");
  status.Update(InRange("max_total_bytes", max_total_bytes, 1, kMaxBytes));
  status.Update(InRange("max_upload_bytes", max_upload_bytes, 1, kMaxBytes));
  status.Update(InRange("max_open_uploads", max_open_uploads, 1, kMaxCount));
  status.Update(InRange("max_ended_uploads", max_ended_uploads, 1, kMaxCount));
  status.Update(InRange("max_datasets", max_datasets, 1, kMaxCount));
  status.Update(InRange("max_gate_sets", max_gate_sets, 1, kMaxCount));
  status.Update(
      InRange("max_unfinished_jobs", max_unfinished_jobs, 1, kMaxCount));
  status.Update(InRange("max_ended_jobs", max_ended_jobs, 1, kMaxCount));
  status.Update(InRange("sync_bytes", sync_bytes, 1, int64_t{1} << 40));
  status.Update(
      InRange("disk_reserve_bytes", disk_reserve_bytes, 0, int64_t{1} << 30));
  if (upload_lifetime < absl::Seconds(1)) {
    status.Update(
        absl::InvalidArgumentError("upload_lifetime is less than a second"));
  }
  return status;
}

}  // namespace seer
