#ifndef SEER_SERVER_CATALOG_CATALOG_OPTIONS_H_
#define SEER_SERVER_CATALOG_CATALOG_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace seer {

// Where the catalog is, and how much it takes.
struct CatalogOptions {
  // Its folder; only its last part may be missing.
  std::string folder;

  // Bytes of everything it keeps, uploads counted by their declared size. New
  // uploads are refused beyond it; checkpoints and calibrated gate sets count
  // and are not refused. [1, 2^50].
  int64_t max_total_bytes = int64_t{64} << 30;
  // Of one upload, [1, 2^50].
  int64_t max_upload_bytes = int64_t{16} << 30;
  // All in [1, 1,000,000].
  int64_t max_open_uploads = 16;
  int64_t max_ended_uploads = 1000;
  int64_t max_datasets = 1000;
  int64_t max_gate_sets = 1000;
  int64_t max_unfinished_jobs = 100;
  int64_t max_ended_jobs = 1000;

  // An upload is brought to disk whenever so much was appended: [1, 2^40]. A
  // crash costs at most that, a sync some milliseconds.
  int64_t sync_bytes = int64_t{8} << 20;
  // Kept on the disk, in a file of its own, for deleting and cancelling where
  // the disk is full: [0, 2^30].
  int64_t disk_reserve_bytes = int64_t{1} << 20;
  // Uploads that nothing was written to for so long, nor sealed, expire; ended
  // ones are forgotten then, if max_ended_uploads have not ended since. At
  // least a second.
  absl::Duration upload_lifetime = absl::Hours(24);

  // INVALID_ARGUMENT, naming the option that is out of range.
  absl::Status Validate() const;
};

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_CATALOG_OPTIONS_H_
