// Which gate sets are on the device, and where.
#ifndef SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SLOTS_H_
#define SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SLOTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/thread/mutex.h"
#include "engine/device/device.h"
#include "engine/gate/gate.h"
#include "engine/gate/gate_set.h"
#include "engine/gate/gate_state.h"
#include "engine/gate/policy/gate_table.h"
#include "engine/gate_control.h"

namespace seer {

// mean_pool, and slots for so many gate sets from files. A set has its slot
// from Install until it is removed and the last request that uses it has ended.
// On a device with memory of its own that of every slot is taken at the start,
// enough for any design, and passes from set to set: as with pages, the device
// works in order, so it can be given on while a step still reads it. On the
// host memory is taken as sets come, and freed.
//
// Thread-safe but for Create and Install. Outlives what it has handed out, and
// the device outlives it.
class GateSlots {
 public:
  struct Options {
    GateShape shape;
    int64_t num_pages = 0;  // of the KV cache, >= 1
    int32_t num_slots = 0;  // >= 0
    Device* device = nullptr;
  };
  // The device's memory that slots take at the start, which is for pages
  // otherwise: by page, and beside the pages. mean_pool's is counted too.
  static int64_t BytesPerPage(const GateShape& shape, int32_t num_slots);
  static int64_t WeightBytes(const GateShape& shape, int32_t num_slots);

  // On the thread that has the device. RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<std::unique_ptr<GateSlots>> Create(
      const Options& options);
  // What requests find now. One table is never changed: another takes its
  // place.
  std::shared_ptr<const GateTable> table() const;

  // Gives a set its slot and puts it in the table; done already if it is
  // there. Waits for the device, whose thread calls it. RESOURCE_EXHAUSTED,
  // GATE_SLOTS, with limit and got: no slot is free. FAILED_PRECONDITION:
  // another file's set has this name.
  absl::Status Install(std::shared_ptr<const GateSet> set);

  // As GateControl's.
  absl::Status Remove(const std::string& name);
  absl::Status SetRouting(const GateRouting& routing);
  GateRouting routing() const;

  // Of the device: of sets, and set aside for them.
  int64_t num_bytes() const;

 private:
  explicit GateSlots(const Options& options) : options_(options) {}

  // A holder that gives the slot back when the last copy goes.
  InstalledGateSetPtr Hold(std::shared_ptr<const GateSet> set, GateState state);
  void FreeSlot(GateMemory memory);
  // Puts a table in the other's place, and returns that: to be dropped without
  // the lock, since slots of its sets may be freed then.
  std::shared_ptr<const GateTable> Replace(GateTable next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  int32_t num_taken_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t num_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // On a device with memory of its own, that of the slots not taken.
  std::vector<GateMemory> free_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const GateTable> table_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace seer

#endif  // SEER_ENGINE_LLAMA_ENGINE_GATES_GATE_SLOTS_H_
