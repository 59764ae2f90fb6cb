// SPDX-License-Identifier: Apache-2.0
//
// Dumping tables; see table_dump.h. The walk is depth first over copies that were made under each
// table's lock, inside one RCU section: a PTE table that such a copy points to may have been freed
// since, since DONTNEED does so with mmap_lock held for read, too; it is stray then and left out.
#include "core/mm/table_dump.h"

#include <algorithm>
#include <utility>

#include "core/mm/mm_lock.h"
#include "core/observe/activity.h"
#include "core/pgtable/page_tables.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

class Dumper {
 public:
  Dumper(PageTables& tables, VirtRange range, TablePlace from, size_t most)
      : tables_(tables), range_(range), from_(from), most_(most) {}

  TableDump Dump() {
    const RcuGuard section;
    Visit(tables_.root(), {.address = VirtAddr(0), .level = TableLevel::kPgd});
    return std::move(dump_);
  }

 private:
  /// Adds a table, if its turn has come, and those below.
  void Visit(Folio& table, TablePlace place) {
    TableRecord record{.level = place.level,
                       .address = place.address,
                       .frame = tables_.frames().PfnOf(table),
                       .indexes = {},
                       .entries = {}};
    const TableLevel span = tables_.SpanLevelOf(table);
    if (!Read(table, span, record)) return;
    std::vector<std::pair<uint32_t, Entry>> below;
    if (place.level != TableLevel::kPte) below = TablesBelow(record);
    if (IsDue(place)) {
      if (dump_.tables.size() == most_) {
        dump_.next = place;
        return;
      }
      dump_.tables.push_back(std::move(record));
    }
    const uint64_t bytes = uint64_t{1} << ShiftOf(span);
    for (const auto& [index, entry] : below) {
      const VirtAddr address = place.address + index * bytes;
      if (address + (bytes - 1) < from_.address) continue;
      Visit(tables_.TableAt(entry), {.address = address, .level = Below(span)});
      if (dump_.next.has_value()) return;
    }
  }

  /// The entries of an upper table that point to tables.
  static std::vector<std::pair<uint32_t, Entry>> TablesBelow(const TableRecord& record) {
    std::vector<std::pair<uint32_t, Entry>> tables;
    for (size_t i = 0; i < record.entries.size(); ++i) {
      const Entry entry = record.entries[i];
      if (entry.present() && !entry.huge()) tables.emplace_back(record.indexes[i], entry);
    }
    return tables;
  }

  /// Copies the entries that concern the range; false if the table has left the tree.
  bool Read(Folio& table, TableLevel span, TableRecord& record) {
    const uint64_t bytes = uint64_t{1} << ShiftOf(span);
    const LockGuard guard(tables_.LockOf(table), PageTables::SubclassOf(table));
    // Relaxed, both: under the lock that they are written under, but for the marks of the MMU.
    if (PageTables::InfoOf(table).stray.Load(kRelaxed) != 0) return false;
    const TableWords& words = tables_.frames().Table(table);
    for (uint32_t i = 0; i < words.size(); ++i) {
      const VirtAddr address = record.address + i * bytes;
      if (address >= range_.end() || address + (bytes - 1) < range_.start()) continue;
      const Entry entry(words[i].Load(kRelaxed));
      if (entry.none()) continue;
      record.indexes.push_back(i);
      record.entries.push_back(entry);
    }
    return true;
  }

  [[nodiscard]] bool IsDue(TablePlace place) const {
    if (place.address != from_.address) return place.address > from_.address;
    return place.level <= from_.level;
  }

  PageTables& tables_;
  const VirtRange range_;
  const TablePlace from_;
  const size_t most_;
  TableDump dump_;
};

}  // namespace

Result<TableDump> DumpTables(Mm& mm, VirtRange range, TablePlace from, size_t most) {
  const ActivityScope activity(Activity::kReadMaps);
  const MmReader reader(mm);
  if (!reader.held()) return Errno::kEintr;
  return Dumper(reader.tables(), range, from, most).Dump();
}

}  // namespace faultline
