#include "engine/kv_cache/kv_cache.h"

#include <algorithm>

#include "engine/device/cpu_device.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

KvCacheShape SmallShape() {
  KvCacheShape shape;
  shape.num_layers = 3;
  shape.num_kv_heads = 2;
  shape.head_dim = 16;
  shape.dtype = DType::kFloat32;
  shape.num_pages = 5;
  return shape;
}

// Writes a value that names its layer and page over the whole page.
void Stamp(const KvCache& cache, int32_t layer, int32_t page) {
  const PagedKv kv = cache.layer(layer);
  const float value = 100.0f * layer + page;
  float* keys = static_cast<float*>(kv.pages) + kv.KeyOffset(page, 0);
  std::fill(keys, keys + 2 * kv.num_kv_heads * kBlockSize * kv.head_dim, value);
  float* pools = kv.pooled_keys + kv.PoolOffset(page, 0, 0);
  std::fill(pools, pools + kv.num_kv_heads * kNumPools * kv.head_dim, -value);
}

TEST(KvCacheTest, LayersAndPagesDoNotOverlap) {
  CpuDevice device(nullptr);
  const KvCacheShape shape = SmallShape();
  const absl::StatusOr<KvCache> cache = KvCache::Allocate(shape, &device);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ(cache->num_bytes(), shape.num_pages * BytesPerPage(shape));
  for (int32_t layer = 0; layer < 3; ++layer) {
    for (int32_t page = 0; page < 5; ++page) Stamp(*cache, layer, page);
  }
  for (int32_t layer = 0; layer < 3; ++layer) {
    const PagedKv kv = cache->layer(layer);
    const float* pages = static_cast<const float*>(kv.pages);
    for (int32_t page = 0; page < 5; ++page) {
      const float value = 100.0f * layer + page;
      EXPECT_EQ(pages[kv.KeyOffset(page, 0)], value);
      EXPECT_EQ(pages[kv.ValueOffset(page, 1) + 64 * 16 - 1], value);
      EXPECT_EQ(kv.pooled_keys[kv.PoolOffset(page, 1, 3) + 15], -value);
    }
  }
}

TEST(KvCacheTest, CopiesAPageInEveryLayer) {
  CpuDevice device(nullptr);
  absl::StatusOr<KvCache> cache = KvCache::Allocate(SmallShape(), &device);
  ASSERT_TRUE(cache.ok());
  for (int32_t layer = 0; layer < 3; ++layer) {
    for (int32_t page = 0; page < 5; ++page) Stamp(*cache, layer, page);
  }
  ASSERT_TRUE(cache->CopyPage(4, 1).ok());
  for (int32_t layer = 0; layer < 3; ++layer) {
    const PagedKv kv = cache->layer(layer);
    const float* pages = static_cast<const float*>(kv.pages);
    EXPECT_EQ(pages[kv.KeyOffset(1, 0)], 100.0f * layer + 4);
    EXPECT_EQ(pages[kv.ValueOffset(1, 1) + 64 * 16 - 1], 100.0f * layer + 4);
    EXPECT_EQ(kv.pooled_keys[kv.PoolOffset(1, 1, 3)], -100.0f * layer - 4);
    EXPECT_EQ(pages[kv.KeyOffset(2, 0)], 100.0f * layer + 2);
    EXPECT_EQ(pages[kv.KeyOffset(0, 0)], 100.0f * layer);
  }
}

TEST(KvCacheTest, EveryPlaneIsAPageOfItsOwn) {
  CpuDevice device(nullptr);
  const absl::StatusOr<KvCache> cache =
      KvCache::Allocate(SmallShape(), &device);
  ASSERT_TRUE(cache.ok());
  for (int32_t layer = 0; layer < 3; ++layer) {
    for (int32_t page = 0; page < 5; ++page) Stamp(*cache, layer, page);
  }
  const PagedKv planes = cache->AllPlanes();
  EXPECT_EQ(planes.num_pages, 15);
  const std::vector<int32_t> numbers = cache->PlanesOf({4, 1});
  ASSERT_EQ(numbers.size(), 6u);
  const float* pages = static_cast<const float*>(planes.pages);
  for (int i = 0; i < 6; ++i) {
    const float value = 100.0f * (i % 3) + (i < 3 ? 4 : 1);
    EXPECT_EQ(pages[planes.KeyOffset(numbers[i], 0)], value);
    EXPECT_EQ(pages[planes.ValueOffset(numbers[i], 1) + 64 * 16 - 1], value);
    EXPECT_EQ(planes.pooled_keys[planes.PoolOffset(numbers[i], 1, 3) + 15],
              -value);
  }
}

TEST(KvCacheTest, ReservesWithoutTouching) {
  CpuDevice device(nullptr);
  KvCacheShape shape = SmallShape();
  shape.num_pages = 100 << 20;  // terabytes
  EXPECT_TRUE(KvCache::Allocate(shape, &device).ok());
  shape.head_dim = 1 << 20;
  EXPECT_EQ(KvCache::Allocate(shape, &device).status().code(),
            absl::StatusCode::kResourceExhausted);
  shape.num_pages = (int64_t{1} << 31) / 3 + 1;
  EXPECT_EQ(KvCache::Allocate(shape, &device).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seer
