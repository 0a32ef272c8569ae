#ifndef SEER_SERVER_CATALOG_STORAGE_BLOB_STORE_H_
#define SEER_SERVER_CATALOG_STORAGE_BLOB_STORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace seer {

// Files by server-made id ([a-z0-9-]{1,63}) in one flat folder. A blob is
// either partial, the file `ID.partial`, which grows by Append; or whole, the
// file `ID`, which never changes: what bears that name is on disk in full. Seal
// turns one into the other. So whatever a crash interrupts, a file's name tells
// what it is, and whoever keeps the list of ids can sweep the rest.
//
// base/file/atomic_file.h writes a whole file too, under a temporary name that
// nobody knows after a crash. Here that is `ID.partial`, which a sweep finds;
// uploads end as Put does; each step is a fault point; a full disk has a
// reason.
//
// Thread-safe, but for one blob written by two threads. Errors of system calls
// are StorageError's; that of a missing blob is NOT_FOUND. Blocks on the disk.
class BlobStore {
 public:
  // Makes `folder` where it is missing; its parent must be there.
  static absl::StatusOr<BlobStore> Open(const std::string& folder);

  // Writes `bytes` at `offset` of a partial blob and cuts off what stood there
  // and after; at offset 0 it makes the blob. Not on disk before Sync. An error
  // gives back what space was taken.
  // INTERNAL: the blob has fewer bytes than `offset`.
  absl::Status Append(absl::string_view id, int64_t offset,
                      absl::string_view bytes);

  // Brings all that was appended to disk.
  absl::Status Sync(absl::string_view id);

  // Makes a partial blob whole, on disk, if its content has this size (bytes)
  // and digest (SHA-256, 64 lowercase hex digits); does nothing to one that is
  // whole and has. Reads all of it. FAILED_PRECONDITION, reason
  // SHA256_MISMATCH: another content. CANCELLED: `cancelled`, asked about every
  // MiB if it is set, said so. After both nothing has changed.
  absl::Status Seal(absl::string_view id, int64_t size,
                    absl::string_view sha256,
                    const std::function<bool()>& cancelled = nullptr);

  // Makes a whole blob of `pieces` one after the other: all or nothing, on disk
  // when this returns OK. Returns its SHA-256. An error removes what there is.
  absl::StatusOr<std::string> Put(absl::string_view id,
                                  absl::Span<const absl::string_view> pieces);

  // Removes a blob, partial or whole, if there is one. Whoever has it open or
  // mapped keeps it. A crash can undo it.
  absl::Status Remove(absl::string_view id);

  // Of a whole blob, whether there is one or not.
  std::string PathOf(absl::string_view id) const;
  // Bytes of a whole blob.
  absl::StatusOr<int64_t> WholeSize(absl::string_view id) const;
  // SHA-256, hex, of a whole blob. Reads all of it.
  absl::StatusOr<std::string> DigestOf(absl::string_view id) const;

  struct Entry {
    std::string id;
    bool whole = false;
    int64_t size = 0;  // bytes
  };
  // All blobs. Files with other names are left out and alone.
  absl::StatusOr<std::vector<Entry>> List() const;

 private:
  explicit BlobStore(std::string folder) : folder_(std::move(folder)) {}

  std::string PartialPath(absl::string_view id) const;
  // Renames a partial blob that is on disk.
  absl::Status Publish(absl::string_view id);

  std::string folder_;
};

// Whether `id` matches [a-z0-9-]{1,63}.
bool IsServerMadeId(absl::string_view id);

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_STORAGE_BLOB_STORE_H_
