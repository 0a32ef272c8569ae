// A gate's projected key blocks, parallel to the KV pages.
#ifndef SEER_ENGINE_GATE_GATE_ENTRIES_H_
#define SEER_ENGINE_GATE_GATE_ENTRIES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/anonymous_memory.h"
#include "engine/gate/gate.h"

namespace seer {

// One gate's entry of every page in every layer: what the gate computed of the
// page's raw pools. Page p of a layer's KV has its entry at index p, so the
// page allocator is the entries' too. Memory is taken up as entries are
// written. Not thread-safe.
class GateEntries {
 public:
  // RESOURCE_EXHAUSTED: no memory for them.
  static absl::StatusOr<GateEntries> Allocate(const GateShape& shape,
                                              int32_t num_entry_heads,
                                              int64_t num_pages);

  // shape.dtype [num_pages, num_entry_heads, head_dim] of one layer.
  void* layer(int32_t layer) const {
    return static_cast<char*>(memory_.data()) + layer * layer_bytes_;
  }
  size_t num_bytes() const { return memory_.size(); }

 private:
  AnonymousMemory memory_;
  size_t layer_bytes_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_ENTRIES_H_
