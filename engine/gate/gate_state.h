// What a gate keeps on the device while it serves.
#ifndef SEER_ENGINE_GATE_GATE_STATE_H_
#define SEER_ENGINE_GATE_GATE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/device/device_memory.h"
#include "engine/gate/gate.h"

namespace seer {

// Memory of a device for one gate. Movable.
struct GateMemory {
  DeviceMemory entries;
  DeviceMemory weights;  // none where the host's own are read

  size_t num_bytes() const { return entries.size() + weights.size(); }

  // For any gate of the shape, whatever its design. RESOURCE_EXHAUSTED: there
  // is not so much.
  static absl::StatusOr<GateMemory> AllocateLargest(const GateShape& shape,
                                                    int64_t num_pages,
                                                    Device* device);
};

// One gate's weights where kernels read them, and its entry of every page in
// every layer: what the gate computed of the page's raw pools. Page p of a
// layer's KV has its entry at index p, so the page allocator is the entries'
// too. Not thread-safe.
class GateState {
 public:
  // Bytes of the entries of one page over all layers.
  static size_t EntryBytesPerPage(const Gate& gate, const GateShape& shape);
  // Bytes of the weights that are copied to a device with memory of its own.
  static size_t WeightBytes(const Gate& gate, const GateShape& shape);
  // The most that these are of any design.
  static size_t LargestEntryBytesPerPage(const GateShape& shape);
  static size_t LargestWeightBytes(const GateShape& shape);

  // `gate` and `device` must outlive it: on a device that shares the host's
  // memory the weights are the gate's own. RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<GateState> Create(const Gate& gate,
                                          const GateShape& shape,
                                          int64_t num_pages, Device* device);
  // The same in memory that is there already and large enough. What it held is
  // of no use: an entry is written before it is read. An error takes the
  // memory along.
  static absl::StatusOr<GateState> CreateIn(GateMemory memory, const Gate& gate,
                                            const GateShape& shape,
                                            int64_t num_pages, Device* device);
  // Ends the state's use of its memory, for the next gate.
  GateMemory TakeMemory() { return std::move(memory_); }

  // Gate::layer, with pointers on the device.
  const GateLayer& layer(int32_t layer) const { return layers_[layer]; }
  // Gate::num_entry_heads.
  int32_t num_entry_heads() const { return num_entry_heads_; }

  // shape.dtype [num_pages, num_entry_heads, head_dim] of one layer.
  void* entries(int32_t layer) const {
    return static_cast<char*>(memory_.entries.data()) + layer * layer_bytes_;
  }

  // Bytes of the device's memory.
  size_t num_bytes() const { return memory_.num_bytes(); }

 private:
  absl::Status CopyWeights(const GateShape& shape, Device* device);

  std::vector<GateLayer> layers_;
  int32_t num_entry_heads_ = 0;
  size_t layer_bytes_ = 0;
  GateMemory memory_;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_STATE_H_
