#include "engine/kv_cache/kv_cache.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/ragged_batch.h"

namespace seer {
namespace {

// Bytes of one page in one layer.
size_t PageBytes(const KvCacheShape& shape) {
  return size_t{2} * shape.num_kv_heads * kBlockSize * shape.head_dim *
         SizeOf(shape.dtype);
}
size_t PoolBytes(const KvCacheShape& shape) {
  return size_t{kNumPools} * shape.num_kv_heads * shape.head_dim *
         sizeof(float);
}

}  // namespace

size_t BytesPerPage(const KvCacheShape& shape) {
  return shape.num_layers * (PageBytes(shape) + PoolBytes(shape));
}

absl::StatusOr<KvCache> KvCache::Allocate(const KvCacheShape& shape,
                                          Device* device) {
  // Numbers of planes are int32, as all numbers of pages.
  constexpr int64_t kMaxPlanes = std::numeric_limits<int32_t>::max();
  if (shape.num_pages > kMaxPlanes / std::max(1, shape.num_layers)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a KV cache of ", shape.num_pages, " pages in ",
                     shape.num_layers, " layers: more than 2^31 - 1 in all"));
  }
  KvCache cache;
  cache.shape_ = shape;
  cache.device_ = device;
  const size_t num_pages = shape.num_layers * shape.num_pages;
  SEER_ASSIGN_OR_RETURN(cache.pages_,
                        device->Allocate(num_pages * PageBytes(shape)));
  SEER_ASSIGN_OR_RETURN(cache.pools_,
                        device->Allocate(num_pages * PoolBytes(shape)));
  return cache;
}

PagedKv KvCache::layer(int32_t layer) const {
  const size_t first_page = layer * shape_.num_pages;
  PagedKv kv;
  kv.pages = static_cast<char*>(pages_.data()) + first_page * PageBytes(shape_);
  kv.pooled_keys = reinterpret_cast<float*>(static_cast<char*>(pools_.data()) +
                                            first_page * PoolBytes(shape_));
  kv.dtype = shape_.dtype;
  kv.num_pages = shape_.num_pages;
  kv.num_kv_heads = shape_.num_kv_heads;
  kv.head_dim = shape_.head_dim;
  return kv;
}

PagedKv KvCache::AllPlanes() const {
  PagedKv kv = layer(0);
  kv.num_pages *= shape_.num_layers;
  return kv;
}

std::vector<int32_t> KvCache::PlanesOf(absl::Span<const int32_t> pages) const {
  const int32_t num_pages = static_cast<int32_t>(shape_.num_pages);
  std::vector<int32_t> planes;
  for (const int32_t page : pages) {
    for (int32_t layer = 0; layer < shape_.num_layers; ++layer) {
      planes.push_back(layer * num_pages + page);
    }
  }
  return planes;
}

absl::Status KvCache::CopyPage(int32_t from, int32_t to) {
  const auto copy = [&](const DeviceMemory& memory, size_t page_bytes) {
    const size_t num_layers = shape_.num_layers;
    const size_t num_pages = shape_.num_pages;
    return device_->CopyRow({memory.data(), num_layers, num_pages, page_bytes},
                            from, to);
  };
  SEER_RETURN_IF_ERROR(copy(pages_, PageBytes(shape_)));
  return copy(pools_, PoolBytes(shape_));
}

}  // namespace seer
