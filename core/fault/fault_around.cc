// SPDX-License-Identifier: Apache-2.0
//
// Fault-around (Linux: do_fault_around, filemap_map_pages; B35, B36): a read fault on a Mapping
// maps the neighbours that are cached anyway, so that they will not fault. In one hold of the PTE
// table's lock, without sleeping, read entries only, and only where nothing stands yet.
//
// The window is as long as fault_around_bytes and begins at a multiple of it, or at the start of
// the VMA if that is later: then it goes on beyond the next multiple, as on the running kernel. It
// ends with the VMA, the PTE table and the Mapping at the latest.
#include <algorithm>

#include "core/fault/fault_context.h"
#include "core/pagecache/mapping.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Entries [first, end) of one PTE table, and what the first of them maps.
struct Window {
  uint32_t first;
  uint32_t end;
  PageIndex index;
};

Window WindowAround(const VmaView& view, VirtAddr page, uint64_t bytes) {
  const uint64_t here = IndexIn(TableLevel::kPte, page);
  const uint64_t window_pages = bytes >> kPageShift;
  const uint64_t pages_before = (page - view.start) >> kPageShift;
  const uint64_t pages_from_here = (view.end - page) >> kPageShift;

  const uint64_t first = std::max(here & ~(window_pages - 1), here - std::min(here, pages_before));
  const PageIndex index = view.IndexOf(page) - (here - first);
  // The page itself may lie behind the end of its Mapping, and all of the window, too.
  const uint64_t pages_in_mapping =
      view.mapping->page_count() - std::min(view.mapping->page_count(), index.value());
  const uint64_t end = std::min(
      {first + window_pages, kPagesPerPmd, here + pages_from_here, first + pages_in_mapping});
  return {static_cast<uint32_t>(first), static_cast<uint32_t>(end), index};
}

}  // namespace

bool MapAround(FaultTarget& target, const VmaView& view, VirtAddr page, LockedPte& pte) {
  const Window window = WindowAround(view, page, target.fault_around_bytes);
  const uint64_t bits = MappingReadBits(view);
  int64_t mapped = 0;
  MmCounter counter = MmCounter::kFilePages;
  const bool was_none = pte.Load().none();
  for (uint32_t i = window.first; i != window.end; ++i) {
    if (!pte.Get(i).none()) continue;
    Folio* folio = view.mapping->Find(window.index + (i - window.first));
    if (folio == nullptr) continue;
    folio->AddMapping();  // the reference that Find gave is the entry's now
    pte.Set(i, Entry::Of(target.frames.PfnOf(*folio), bits));
    ++mapped;
    counter = CounterOf(*folio);  // the same for all of one Mapping
  }
  if (mapped == 0) return false;
  target.tables.counters().Add(counter, mapped);
  return was_none && !pte.Load().none();
}

}  // namespace faultline
