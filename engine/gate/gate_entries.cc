#include "engine/gate/gate_entries.h"

#include <utility>

#include "base/status_macros.h"

namespace seer {

absl::StatusOr<GateEntries> GateEntries::Allocate(const GateShape& shape,
                                                  int32_t num_entry_heads,
                                                  int64_t num_pages) {
  GateEntries entries;
  entries.layer_bytes_ = static_cast<size_t>(num_pages) * num_entry_heads *
                         shape.head_dim * SizeOf(shape.dtype);
  SEER_ASSIGN_OR_RETURN(
      entries.memory_,
      AnonymousMemory::Allocate(entries.layer_bytes_ * shape.num_layers));
  return entries;
}

}  // namespace seer
