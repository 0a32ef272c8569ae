// The keys and values of all running sequences, in pages of 64 tokens.
#ifndef SEER_ENGINE_KV_CACHE_KV_CACHE_H_
#define SEER_ENGINE_KV_CACHE_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/device/device.h"
#include "engine/device/device_memory.h"
#include "kernels/dtype.h"
#include "kernels/paged_kv.h"

namespace seer {

struct KvCacheShape {
  int32_t num_layers = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;
  DType dtype = DType::kBFloat16;
  int64_t num_pages = 0;
};

// Bytes of one page over all layers, raw pools included.
size_t BytesPerPage(const KvCacheShape& shape);

// Storage only: which sequence owns which page is the allocator's to say. A
// page number stands for the same block in every layer. Pages are zeros until
// they are written. Not thread-safe.
class KvCache {
 public:
  // In the memory of `device`, which is borrowed. RESOURCE_EXHAUSTED: there is
  // not so much. INVALID_ARGUMENT: num_layers * num_pages is 2^31 or more.
  static absl::StatusOr<KvCache> Allocate(const KvCacheShape& shape,
                                          Device* device);

  const KvCacheShape& shape() const { return shape_; }

  // One layer's pages and raw pooled keys; valid as long as the cache.
  PagedKv layer(int32_t layer) const;

  // Every layer's pages as those of one: page p of layer l is number
  // l * num_pages + p. For who needs the keys of one layer at a time: a page of
  // the cache then holds num_layers blocks, and not one.
  PagedKv AllPlanes() const;

  // The numbers in AllPlanes of these pages' planes, num_layers a page, in
  // order of page and layer.
  std::vector<int32_t> PlanesOf(absl::Span<const int32_t> pages) const;

  // Enqueues the copy of a page in every layer: keys, values and pools.
  absl::Status CopyPage(int32_t from, int32_t to);

  // Bytes reserved.
  size_t num_bytes() const { return pages_.size() + pools_.size(); }

 private:
  KvCacheShape shape_;
  Device* device_ = nullptr;
  DeviceMemory pages_;  // [num_layers, num_pages, 2, Hk, 64, D], dtype
  DeviceMemory pools_;  // [num_layers, num_pages, Hk, kNumPools, D], fp32
};

}  // namespace seer

#endif  // SEER_ENGINE_KV_CACHE_KV_CACHE_H_
