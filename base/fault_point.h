// Named points where a test can end the process or let a system call fail, to
// see what a crash or a full disk leaves behind.
//
//   if (FaultPoint("blob.write") || write(fd, data, size) < 0) {
//     return ErrnoStatus("write");
//   }
//
// Only tests set a hook; without one a point costs a load of an atomic.
#ifndef SEER_BASE_FAULT_POINT_H_
#define SEER_BASE_FAULT_POINT_H_

#include <atomic>
#include <cerrno>

namespace seer {

// Told the name of each point that is passed, on the thread that passes it. May
// end the process. Returns the errno that the point stands for, or 0 to go on.
using FaultHook = int (*)(const char* point);

namespace fault_point_internal {
inline std::atomic<FaultHook> hook{nullptr};
}  // namespace fault_point_internal

// For tests. Null stands for none.
inline void SetFaultHook(FaultHook hook) {
  fault_point_internal::hook.store(hook, std::memory_order_release);
}

// Whether what follows must be taken as failed; then errno says why.
inline bool FaultPoint(const char* point) {
  const FaultHook hook =
      fault_point_internal::hook.load(std::memory_order_acquire);
  if (hook == nullptr) return false;
  const int error = hook(point);
  if (error == 0) return false;
  errno = error;
  return true;
}

}  // namespace seer

#endif  // SEER_BASE_FAULT_POINT_H_
