// SPDX-License-Identifier: Apache-2.0
//
// Counting resident pages; see proc_smaps.h. All modes go the same way, a step at a time: a look at
// the VMA that lies next, and within it over empty upper entries to one PTE table, whose entries
// are counted under its lock. Tables stay while they are looked at: by the lock that the look
// holds, or, where it holds none, by its RCU section; the table of leaves is locked and then found
// in its place (LockedPte).
//
// A copy of a VMA is validated under the lock of the table: whoever takes the VMA's pages away
// marks it before, and takes that lock then. So what is counted was the VMA's at that moment.
#include "core/mm/proc_smaps.h"

#include <algorithm>
#include <utility>

#include "core/observe/activity.h"
#include "core/pgtable/page_tables.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Adds a mapped page (Linux: smaps_account, smaps_page_accumulate).
void Count(Entry entry, const Folio& folio, bool locked, Residency& sum) {
  const bool dirty = entry.dirty() || folio.Has(kFolioDirty);
  // Somebody else may be mapping or unmapping it: a hint, as in Linux.
  const auto sharers = static_cast<uint64_t>(std::max(folio.mapcount(), 1));
  sum.rss += kPageSize;
  if (entry.accessed()) sum.referenced += kPageSize;
  sum.pss.Add(kPageSize, sharers);
  if (locked) sum.locked.Add(kPageSize, sharers);
  if (dirty) sum.pss_dirty.Add(kPageSize, sharers);
  if (folio.use() == FrameUse::kAnon) {
    sum.anonymous += kPageSize;
    sum.pss_anon.Add(kPageSize, sharers);
    if (folio.Has(kFolioLazyFree) && !dirty) sum.lazy_free += kPageSize;
  } else {
    (folio.Has(kFolioSwapBacked) ? sum.pss_shmem : sum.pss_file).Add(kPageSize, sharers);
  }
  if (sharers > 1) {
    (dirty ? sum.shared_dirty : sum.shared_clean) += kPageSize;
  } else {
    (dirty ? sum.private_dirty : sum.private_clean) += kPageSize;
  }
}

/// Goes over the memory of VMAs, a step being at most one PTE table.
class Counter {
 public:
  Counter(PageTables& tables, Residency& sum) : tables_(tables), sum_(sum) {}

  /// Where the next step begins.
  [[nodiscard]] VirtAddr at() const { return at_; }
  void Seek(VirtAddr at) { at_ = at; }

  /// Counts what is in `part` of a VMA, from its start as far as a step goes, and moves on. False,
  /// and nothing done, if the VMA is not what it was.
  bool Step(VirtRange part, VmaFlags flags, VmaScan::StillThere still_there);

 private:
  /// As many empty entries a step goes over, since there may be many of them in a row.
  static constexpr int kMostHoles = 512;

  bool CountTable(EntryRef pmd, VirtRange part, VmaFlags flags, VmaScan::StillThere still_there);

  PageTables& tables_;
  Residency& sum_;
  VirtAddr at_{0};
};

bool Counter::Step(VirtRange part, VmaFlags flags, VmaScan::StillThere still_there) {
  VirtAddr at = part.start();
  for (int holes = 0; at < part.end() && holes < kMostHoles; ++holes) {
    const PageTables::Descent descent = tables_.Descend(at);
    const VirtAddr boundary = std::min(NextBoundary(descent.level, at), part.end());
    if (descent.has_pte_table()) {
      if (!CountTable(descent.entry, VirtRange(at, boundary), flags, still_there)) return false;
      at_ = boundary;
      return true;
    }
    at = boundary;
  }
  if (!still_there()) return false;
  at_ = at;
  return true;
}

bool Counter::CountTable(EntryRef pmd, VirtRange part, VmaFlags flags,
                         VmaScan::StillThere still_there) {
  const LockedPte pte(tables_, pmd, part.start());
  if (!still_there()) return false;
  if (!pte) return true;  // freed meanwhile, for it was empty
  const bool locked = (flags & vma_flag::kLocked) != 0;
  const uint32_t first = pte.index();
  const uint32_t end = first + static_cast<uint32_t>(part.pages());
  for (uint32_t i = pte.NextUsed(first, end); i != end; i = pte.NextUsed(i + 1, end)) {
    const Entry entry = pte.Get(i);
    if (!entry.present() || entry.special()) continue;
    Count(entry, tables_.frames().FolioOf(entry.pfn()), locked, sum_);
  }
  return true;
}

/// Whether two VMAs map the same at addresses that both have.
bool SameMapping(const VmaView& a, const VmaView& b) {
  if (a.mapping != b.mapping) return false;
  if (a.mapping == nullptr) return true;
  return a.pgoff.value() - (a.start.value() >> kPageShift) ==
         b.pgoff.value() - (b.start.value() >> kPageShift);
}

/// The next VMA, counted from its start to its end as they were at the first look. Nothing if there
/// is none.
Result<std::optional<SmapsRecord>> NextRecord(const Mm& mm, VmaScan& scan, VirtAddr from) {
  SmapsRecord record;
  VmaView first;
  const auto begin = [&](const VmaView& vma, VmaScan::StillThere) {
    first = vma;
    record.vma = RecordOf(mm, vma);
    return true;
  };
  MM_ASSIGN_OR_RETURN(bool found, scan.Next(from, begin));
  if (!found) return std::optional<SmapsRecord>();
  Counter counter(scan.tables(), record.residency);
  counter.Seek(first.start);
  const auto step = [&](const VmaView& vma, VmaScan::StillThere still_there) {
    const VirtAddr start = std::min(std::max(vma.start, counter.at()), first.end);
    const VirtAddr end = std::min(vma.end, first.end);
    if (start < end && SameMapping(vma, first)) {
      return counter.Step({start, end}, vma.flags, still_there);
    }
    counter.Seek(end);
    return true;
  };
  while (found && counter.at() < first.end) {
    MM_ASSIGN_OR_RETURN(found, scan.Next(counter.at(), step));
  }
  return std::optional(std::move(record));
}

/// All VMAs of a scan.
Result<SmapsRollup> RollUp(VmaScan& scan) {
  SmapsRollup rollup;
  std::optional<VirtAddr> start;
  VirtAddr end{0};  // of the VMA that was looked at last
  Counter counter(scan.tables(), rollup.residency);
  const auto step = [&](const VmaView& vma, VmaScan::StillThere still_there) {
    const VirtAddr from = std::max(vma.start, counter.at());
    if (!counter.Step({from, vma.end}, vma.flags, still_there)) return false;
    if (!start.has_value()) start = vma.start;
    end = vma.end;
    return true;
  };
  while (true) {
    MM_ASSIGN_OR_RETURN(const bool found, scan.Next(counter.at(), step));
    if (!found) break;
    if (counter.at() == end) MM_TRY(scan.LetOthersIn());
  }
  if (!start.has_value()) return Errno::kEsrch;
  rollup.range = VirtRange(*start, end);
  rollup.held_ns = scan.End();
  return rollup;
}

}  // namespace

Result<SmapsPage> ReadSmaps(Mm& mm, ReadMode mode, VirtAddr from, size_t most) {
  const ActivityScope activity(Activity::kReadMaps);
  VmaScan scan(mm, mode);
  SmapsPage page;
  while (page.vmas.size() < most) {
    MM_ASSIGN_OR_RETURN(std::optional<SmapsRecord> record, NextRecord(mm, scan, from));
    if (!record.has_value()) break;
    from = record->vma.range.end();
    page.vmas.push_back(*std::move(record));
  }
  if (page.vmas.size() == most && scan.HasNext(from)) page.next = from;
  page.held_ns = scan.End();
  return page;
}

Result<SmapsRollup> ReadSmapsRollup(Mm& mm, ReadMode mode) {
  const ActivityScope activity(Activity::kReadMaps);
  if (!mm.AddUser()) return Errno::kEsrch;
  Result<SmapsRollup> rollup = [&] {
    VmaScan scan(mm, mode);
    return RollUp(scan);
  }();
  mm.DropUser();
  return rollup;
}

}  // namespace faultline
