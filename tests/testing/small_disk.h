// Disks that are full and disks that cannot be written, without a real one.
#ifndef SEER_TESTS_TESTING_SMALL_DISK_H_
#define SEER_TESTS_TESTING_SMALL_DISK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace seer {

// From here on this process may mount, and only it and those that it starts see
// what it does. Takes root's rights, or else a user namespace, which only a
// process of one thread can enter. Errors: neither is to be had here.
absl::Status SeparateMounts();

// All below come after that; their errors are those of system calls, and what
// they do ends with the last of these processes.

// Puts a file system in memory over a folder that is there; of `size` bytes, a
// multiple of 4096.
absl::Status MountSmallDisk(const std::string& folder, int64_t size);

// Leaves so many bytes of that disk free, a multiple of 4096 and no more than
// there can be: a file of its own, "ballast", has the rest.
absl::Status LeaveFree(const std::string& folder, int64_t size);

// Has nothing change by its path in a folder of a small disk, or again. A file
// that is open for writing stays so.
absl::Status MakeReadOnly(const std::string& folder);
absl::Status MakeWritable(const std::string& folder);

}  // namespace seer

#endif  // SEER_TESTS_TESTING_SMALL_DISK_H_
