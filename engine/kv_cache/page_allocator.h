// Which pages of the KV cache are free, who holds the others, and which are
// promised. Ids only: the tensors are elsewhere.
//
// A request reserves what it may need in all before it starts, then takes
// pages out of its reservation as it grows, so a request that has started
// never waits for a page. Pages are counted by reference: sequences that share
// a prefix hold the same pages.
//
//   if (!pages.TryReserve(3)) return;       // later
//   PageId page = pages.Take();             // 2 still reserved, page held once
//   pages.AddReference(page);               // a second sequence reads it
//   pages.Release(page); pages.Release(page);
//   pages.CancelReservation(2);
#ifndef SEER_ENGINE_KV_CACHE_PAGE_ALLOCATOR_H_
#define SEER_ENGINE_KV_CACHE_PAGE_ALLOCATOR_H_

#include <cstdint>
#include <vector>

namespace seer {

using PageId = int32_t;

// Every call is O(1). Not thread-safe. Holds at all times:
//   num_used + num_free == num_pages, 0 <= num_reserved <= num_free.
class PageAllocator {
 public:
  // Pages 0..num_pages-1, all free. num_pages >= 0.
  explicit PageAllocator(int32_t num_pages);

  PageAllocator(const PageAllocator&) = delete;
  PageAllocator& operator=(const PageAllocator&) = delete;

  // Promises `count` >= 0 pages to the caller; false, and nothing changes, if
  // fewer are free and not promised.
  [[nodiscard]] bool TryReserve(int64_t count);

  // Gives back `count` promised pages that were not taken.
  void CancelReservation(int64_t count);

  // Turns one promised page into a held one, with one reference. The caller
  // must have a reservation left. The page freed last is taken first.
  PageId Take();

  // One more holder of a held page.
  void AddReference(PageId page);

  // One holder fewer; frees the page when it was the last. True if it did.
  bool Release(PageId page);

  // Holders of a page; 0: free.
  int32_t references(PageId page) const { return references_[page]; }

  int64_t num_pages() const { return references_.size(); }
  int64_t num_free() const { return free_.size(); }
  int64_t num_used() const { return num_pages() - num_free(); }
  int64_t num_reserved() const { return num_reserved_; }

 private:
  std::vector<int32_t> references_;  // [num_pages]
  std::vector<PageId> free_;         // a stack
  int64_t num_reserved_ = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_KV_CACHE_PAGE_ALLOCATOR_H_
