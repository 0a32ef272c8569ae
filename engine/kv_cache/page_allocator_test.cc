#include "engine/kv_cache/page_allocator.h"

#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace seer {
namespace {

void ExpectConsistent(const PageAllocator& pages) {
  EXPECT_EQ(pages.num_used() + pages.num_free(), pages.num_pages());
  EXPECT_GE(pages.num_reserved(), 0);
  EXPECT_LE(pages.num_reserved(), pages.num_free());
}

TEST(PageAllocator, StartsFree) {
  const PageAllocator pages(5);
  EXPECT_EQ(pages.num_pages(), 5);
  EXPECT_EQ(pages.num_free(), 5);
  EXPECT_EQ(pages.num_used(), 0);
  EXPECT_EQ(pages.num_reserved(), 0);
  EXPECT_EQ(pages.references(4), 0);
}

TEST(PageAllocator, HasNoPagesToGive) {
  PageAllocator pages(0);
  EXPECT_TRUE(pages.TryReserve(0));
  EXPECT_FALSE(pages.TryReserve(1));
}

TEST(PageAllocator, ReservesNoMoreThanIsFreeAndNotPromised) {
  PageAllocator pages(4);
  EXPECT_TRUE(pages.TryReserve(3));
  EXPECT_FALSE(pages.TryReserve(2));
  EXPECT_EQ(pages.num_reserved(), 3);
  EXPECT_TRUE(pages.TryReserve(1));
  EXPECT_FALSE(pages.TryReserve(1));
  pages.CancelReservation(4);
  EXPECT_TRUE(pages.TryReserve(4));
}

TEST(PageAllocator, TakingKeepsOtherReservations) {
  PageAllocator pages(4);
  ASSERT_TRUE(pages.TryReserve(2));
  pages.Take();
  EXPECT_EQ(pages.num_reserved(), 1);
  EXPECT_EQ(pages.num_used(), 1);
  EXPECT_FALSE(pages.TryReserve(3));
  EXPECT_TRUE(pages.TryReserve(2));
}

TEST(PageAllocator, FreesWithTheLastReference) {
  PageAllocator pages(1);
  ASSERT_TRUE(pages.TryReserve(1));
  const PageId page = pages.Take();
  EXPECT_EQ(pages.references(page), 1);
  pages.AddReference(page);
  EXPECT_EQ(pages.references(page), 2);
  EXPECT_FALSE(pages.Release(page));
  EXPECT_EQ(pages.num_used(), 1);
  EXPECT_TRUE(pages.Release(page));
  EXPECT_EQ(pages.num_used(), 0);
  EXPECT_EQ(pages.references(page), 0);
}

TEST(PageAllocator, GivesEachPageOnce) {
  PageAllocator pages(64);
  ASSERT_TRUE(pages.TryReserve(64));
  std::set<PageId> taken;
  for (int i = 0; i < 64; ++i) taken.insert(pages.Take());
  EXPECT_EQ(taken.size(), 64u);
  EXPECT_EQ(*taken.begin(), 0);
  EXPECT_EQ(*taken.rbegin(), 63);
}

TEST(PageAllocator, StaysConsistentUnderRandomUse) {
  std::mt19937 random(7);
  PageAllocator pages(37);
  std::vector<PageId> references;  // one entry for each reference held
  int64_t reserved = 0;
  for (int step = 0; step < 20000; ++step) {
    switch (random() % 5) {
      case 0: {
        const int64_t count = random() % 10;
        const bool fits = count <= pages.num_free() - reserved;
        ASSERT_EQ(pages.TryReserve(count), fits);
        if (fits) reserved += count;
        break;
      }
      case 1:
        if (reserved == 0) break;
        references.push_back(pages.Take());
        ASSERT_EQ(pages.references(references.back()), 1);
        --reserved;
        break;
      case 2:
        if (references.empty()) break;
        references.push_back(references[random() % references.size()]);
        pages.AddReference(references.back());
        break;
      case 3: {
        if (references.empty()) break;
        std::swap(references[random() % references.size()], references.back());
        const PageId page = references.back();
        references.pop_back();
        pages.Release(page);
        break;
      }
      case 4: {
        const int64_t count = random() % (reserved + 1);
        pages.CancelReservation(count);
        reserved -= count;
        break;
      }
    }
    ExpectConsistent(pages);
    ASSERT_EQ(pages.num_reserved(), reserved);
    std::multiset<PageId> held(references.begin(), references.end());
    ASSERT_EQ(pages.num_used(),
              static_cast<int64_t>(
                  std::set<PageId>(held.begin(), held.end()).size()));
    for (PageId page = 0; page < 37; ++page) {
      ASSERT_EQ(pages.references(page), static_cast<int32_t>(held.count(page)));
    }
  }
}

}  // namespace
}  // namespace seer
