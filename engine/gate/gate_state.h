// What a gate keeps on the device while it serves.
#ifndef SEER_ENGINE_GATE_GATE_STATE_H_
#define SEER_ENGINE_GATE_GATE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/device/device.h"
#include "engine/device/device_memory.h"
#include "engine/gate/gate.h"

namespace seer {

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

  // `gate` and `device` must outlive it: on a device that shares the host's
  // memory the weights are the gate's own. RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<GateState> Create(const Gate& gate,
                                          const GateShape& shape,
                                          int64_t num_pages, Device* device);

  // Gate::layer, with pointers on the device.
  const GateLayer& layer(int32_t layer) const { return layers_[layer]; }
  // Gate::num_entry_heads.
  int32_t num_entry_heads() const { return num_entry_heads_; }

  // shape.dtype [num_pages, num_entry_heads, head_dim] of one layer.
  void* entries(int32_t layer) const {
    return static_cast<char*>(entries_.data()) + layer * layer_bytes_;
  }

  // Bytes of the device's memory.
  size_t num_bytes() const { return entries_.size() + weights_.size(); }

 private:
  absl::Status CopyWeights(const GateShape& shape, Device* device);

  std::vector<GateLayer> layers_;
  int32_t num_entry_heads_ = 0;
  size_t layer_bytes_ = 0;
  DeviceMemory entries_;
  DeviceMemory weights_;  // none where the host's own are read
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_GATE_STATE_H_
