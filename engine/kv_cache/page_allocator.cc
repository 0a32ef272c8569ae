#include "engine/kv_cache/page_allocator.h"

namespace seer {

PageAllocator::PageAllocator(int32_t num_pages)
    : references_(num_pages, 0), free_(num_pages) {
  // The lowest page on top.
  for (int32_t i = 0; i < num_pages; ++i) free_[i] = num_pages - 1 - i;
}

bool PageAllocator::TryReserve(int64_t count) {
  if (count > num_free() - num_reserved_) return false;
  num_reserved_ += count;
  return true;
}

void PageAllocator::CancelReservation(int64_t count) { num_reserved_ -= count; }

PageId PageAllocator::Take() {
  const PageId page = free_.back();
  free_.pop_back();
  --num_reserved_;
  references_[page] = 1;
  return page;
}

void PageAllocator::AddReference(PageId page) { ++references_[page]; }

bool PageAllocator::Release(PageId page) {
  if (--references_[page] > 0) return false;
  free_.push_back(page);
  return true;
}

}  // namespace seer
