#ifndef SEER_SERVER_CATALOG_STORAGE_DISK_RESERVE_H_
#define SEER_SERVER_CATALOG_STORAGE_DISK_RESERVE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/thread/mutex.h"

namespace seer {

// Room that is kept on a disk for the day it is full: even to delete something
// a database has to write. A file of zeros, whose blocks are the disk's.
//
// Thread-safe. Blocks on the disk.
class DiskReserve {
 public:
  // Of `size` bytes, >= 0, as the file `path`. Takes nothing yet.
  DiskReserve(std::string path, int64_t size)
      : path_(std::move(path)), size_(size) {}
  DiskReserve(const DiskReserve&) = delete;
  DiskReserve& operator=(const DiskReserve&) = delete;

  // Takes the room, where it is not taken. A disk that has none is no error:
  // the next call tries again.
  void Take();
  // Gives it back to the disk. Returns whether there was any.
  bool Release();

 private:
  const std::string path_;
  const int64_t size_;
  Mutex mutex_;
  bool taken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace seer

#endif  // SEER_SERVER_CATALOG_STORAGE_DISK_RESERVE_H_
