#include "engine/gate/gate_state.h"

#include <algorithm>

#include "base/status_macros.h"

namespace seer {
namespace {

// Bytes of a layer's projection of queries, and of keys.
size_t LinearQueryBytes(const GateLayer& layer, const GateShape& shape) {
  if (layer.linear_q == nullptr) return 0;
  return size_t{1} * shape.num_query_heads * layer.query_pools.size() *
         shape.head_dim * shape.head_dim * SizeOf(shape.dtype);
}
size_t LinearKeyBytes(const GateLayer& layer, const GateShape& shape) {
  if (layer.linear_k == nullptr) return 0;
  const int32_t heads =
      layer.linear_q == nullptr ? shape.num_query_heads : shape.num_kv_heads;
  return size_t{1} * heads * layer.key_pools.size() * shape.head_dim *
         shape.head_dim * SizeOf(shape.dtype);
}

// Bytes of one page's entry in one layer.
size_t LayerEntryBytes(const Gate& gate, const GateShape& shape) {
  return size_t{1} * gate.num_entry_heads() * shape.head_dim *
         SizeOf(shape.dtype);
}

// As far apart as Device aligns its memory.
size_t Aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

size_t GateState::EntryBytesPerPage(const Gate& gate, const GateShape& shape) {
  return shape.num_layers * LayerEntryBytes(gate, shape);
}

size_t GateState::WeightBytes(const Gate& gate, const GateShape& shape) {
  size_t bytes = 0;
  for (int32_t l = 0; l < shape.num_layers; ++l) {
    const GateLayer layer = gate.layer(l);
    bytes += Aligned(LinearQueryBytes(layer, shape)) +
             Aligned(LinearKeyBytes(layer, shape));
  }
  return bytes;
}

size_t GateState::LargestEntryBytesPerPage(const GateShape& shape) {
  return size_t{1} * shape.num_layers * shape.num_query_heads * shape.head_dim *
         SizeOf(shape.dtype);
}

size_t GateState::LargestWeightBytes(const GateShape& shape) {
  GateLayer layer;
  layer.query_pools = {true, true, true};
  layer.key_pools = layer.query_pools;
  const char weight = 0;
  layer.linear_k = &weight;
  // With one projection keys have all query heads, with two there is another.
  const size_t single_bytes = Aligned(LinearKeyBytes(layer, shape));
  layer.linear_q = &weight;
  const size_t double_bytes = Aligned(LinearQueryBytes(layer, shape)) +
                              Aligned(LinearKeyBytes(layer, shape));
  return shape.num_layers * std::max(single_bytes, double_bytes);
}

absl::StatusOr<GateMemory> GateMemory::AllocateLargest(const GateShape& shape,
                                                       int64_t num_pages,
                                                       Device* device) {
  GateMemory memory;
  SEER_ASSIGN_OR_RETURN(
      memory.entries,
      device->Allocate(GateState::LargestEntryBytesPerPage(shape) * num_pages));
  if (!device->shares_host_memory()) {
    SEER_ASSIGN_OR_RETURN(
        memory.weights, device->Allocate(GateState::LargestWeightBytes(shape)));
  }
  return memory;
}

absl::Status GateState::CopyWeights(const GateShape& shape, Device* device) {
  char* to = static_cast<char*>(memory_.weights.data());
  const auto copy = [&](const void** from, size_t bytes) {
    if (bytes == 0) return absl::OkStatus();
    SEER_RETURN_IF_ERROR(device->Copy(to, *from, bytes));
    *from = to;
    to += Aligned(bytes);
    return absl::OkStatus();
  };
  for (GateLayer& layer : layers_) {
    const size_t query_bytes = LinearQueryBytes(layer, shape);
    const size_t key_bytes = LinearKeyBytes(layer, shape);
    SEER_RETURN_IF_ERROR(copy(&layer.linear_q, query_bytes));
    SEER_RETURN_IF_ERROR(copy(&layer.linear_k, key_bytes));
  }
  return device->Synchronize();
}

absl::StatusOr<GateState> GateState::Create(const Gate& gate,
                                            const GateShape& shape,
                                            int64_t num_pages, Device* device) {
  GateMemory memory;
  SEER_ASSIGN_OR_RETURN(
      memory.entries,
      device->Allocate(EntryBytesPerPage(gate, shape) * num_pages));
  if (!device->shares_host_memory()) {
    SEER_ASSIGN_OR_RETURN(memory.weights,
                          device->Allocate(WeightBytes(gate, shape)));
  }
  return CreateIn(std::move(memory), gate, shape, num_pages, device);
}

absl::StatusOr<GateState> GateState::CreateIn(GateMemory memory,
                                              const Gate& gate,
                                              const GateShape& shape,
                                              int64_t num_pages,
                                              Device* device) {
  GateState state;
  for (int32_t l = 0; l < shape.num_layers; ++l) {
    state.layers_.push_back(gate.layer(l));
  }
  state.num_entry_heads_ = gate.num_entry_heads();
  state.layer_bytes_ = LayerEntryBytes(gate, shape) * num_pages;
  state.memory_ = std::move(memory);
  if (!device->shares_host_memory()) {
    SEER_RETURN_IF_ERROR(state.CopyWeights(shape, device));
  }
  return state;
}

}  // namespace seer
