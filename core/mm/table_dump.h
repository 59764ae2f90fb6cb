// SPDX-License-Identifier: Apache-2.0
//
// The page tables that a range is translated by, with their entries, page by page of the reading
// (Linux: ptdump_walk_pgd, for user space). mmap_lock is held for read for a page of the reading;
// each table is read under its lock, and the whole is no snapshot.
//
// Order: by the first address that a table covers, of those of one address the upper before the
// lower: so each comes before those that it points to. A place in the reading is such a pair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/build.h"
#include "core/base/result.h"
#include "core/base/types.h"
#include "core/mm/mm.h"
#include "core/pgtable/entry.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A table as it was while its lock was held.
struct TableRecord {
  TableLevel level;  ///< of the root kPgd, with four levels, too
  VirtAddr address;  ///< the first that it covers
  Pfn frame;
  /// Entries that concern the range and are not none, by ascending index.
  std::vector<uint32_t> indexes;
  std::vector<Entry> entries;
};

/// A place between tables: before all of the same address whose level is not above `level`.
struct TablePlace {
  VirtAddr address{0};
  TableLevel level = TableLevel::kPgd;
  friend bool operator==(const TablePlace&, const TablePlace&) = default;
};

struct TableDump {
  std::vector<TableRecord> tables;
  std::optional<TablePlace> next;  ///< where the next page of the reading begins; none: at its end
};

/// At most `most` tables, which is not 0, from `from` on; the root comes with the default. EINTR.
/// By a user of the mm, with no lock held; may sleep.
[[nodiscard]] Result<TableDump> DumpTables(Mm& mm, VirtRange range, TablePlace from, size_t most);

}  // namespace faultline
