// SPDX-License-Identifier: Apache-2.0
//
// A page-table entry: one 64-bit word with x86-64's layout where x86-64 has one (Linux: pte_t and
// pmd_t in arch/x86/include/asm/pgtable_types.h). A value type; the word itself is an
// Atomic<uint64_t> in a table.
//
//   63      62..52    51..12   11        10..9    8         7     6      5         2     1      0
//   no-exec unused    pfn      prot-none special  unused    huge  dirty  accessed  user  write
//   present
//
// A word that is 0 is `none`. A word that is not present but not none is a marker (swap and
// migration entries come with the issue on swap): bits 1..5 give its kind. Invariant: a present
// entry of an upper level holds the pfn of a table.
#pragma once

#include <cstdint>

#include "core/base/build.h"
#include "core/base/types.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Entry {
 public:
  static constexpr uint64_t kPresent = 1ull << 0;
  static constexpr uint64_t kWrite = 1ull << 1;
  static constexpr uint64_t kUser = 1ull << 2;
  static constexpr uint64_t kAccessed = 1ull << 5;
  static constexpr uint64_t kDirty = 1ull << 6;
  static constexpr uint64_t kHuge = 1ull << 7;
  static constexpr uint64_t kSpecial = 1ull << 9;    ///< no Folio to count: the zero page
  static constexpr uint64_t kProtNone = 1ull << 11;  ///< present for the kernel, not for the MMU
  static constexpr uint64_t kNoExec = 1ull << 63;
  static constexpr uint64_t kPfnMask = 0x000f'ffff'ffff'f000ull;
  static constexpr uint64_t kGuardMarker = 1ull << 1;  ///< not present: a guard (PTE_MARKER_GUARD)

  constexpr Entry() = default;
  explicit constexpr Entry(uint64_t raw) : raw_(raw) {}
  [[nodiscard]] static constexpr Entry Of(Pfn pfn, uint64_t bits) {
    return Entry((pfn.value() << kPageShift) | bits | kPresent);
  }
  [[nodiscard]] static constexpr Entry Guard() { return Entry(kGuardMarker); }

  [[nodiscard]] constexpr uint64_t raw() const { return raw_; }
  [[nodiscard]] constexpr bool none() const { return raw_ == 0; }
  [[nodiscard]] constexpr bool present() const { return (raw_ & kPresent) != 0; }
  [[nodiscard]] constexpr bool writable() const { return (raw_ & kWrite) != 0; }
  [[nodiscard]] constexpr bool accessed() const { return (raw_ & kAccessed) != 0; }
  [[nodiscard]] constexpr bool dirty() const { return (raw_ & kDirty) != 0; }
  [[nodiscard]] constexpr bool huge() const { return (raw_ & kHuge) != 0; }
  [[nodiscard]] constexpr bool special() const { return (raw_ & kSpecial) != 0; }
  [[nodiscard]] constexpr bool prot_none() const { return (raw_ & kProtNone) != 0; }
  [[nodiscard]] constexpr bool no_exec() const { return (raw_ & kNoExec) != 0; }
  [[nodiscard]] constexpr bool is_guard() const { return raw_ == kGuardMarker; }
  [[nodiscard]] constexpr Pfn pfn() const { return Pfn((raw_ & kPfnMask) >> kPageShift); }

  [[nodiscard]] constexpr Entry With(uint64_t bits) const { return Entry(raw_ | bits); }
  [[nodiscard]] constexpr Entry Without(uint64_t bits) const { return Entry(raw_ & ~bits); }

  friend constexpr bool operator==(Entry, Entry) = default;

 private:
  uint64_t raw_ = 0;
};

/// The bits that protections put into a leaf entry (Linux: vm_get_page_prot). On x86-64 whatever is
/// accessible at all is readable; `writable` is what may be written without a fault.
[[nodiscard]] constexpr uint64_t LeafBits(bool accessible, bool writable, bool executable) {
  return Entry::kUser | (accessible ? 0 : Entry::kProtNone) | (writable ? Entry::kWrite : 0) |
         (executable ? 0 : Entry::kNoExec);
}

/// The levels of the tables, from the leaves up. With four levels kP4d is folded: its only entry is
/// the pgd's.
enum class TableLevel : uint8_t { kPte = 0, kPmd = 1, kPud = 2, kP4d = 3, kPgd = 4 };

/// The level of the tables that a table of `level`, which is not kPte, points to.
[[nodiscard]] constexpr TableLevel Below(TableLevel level) {
  return static_cast<TableLevel>(static_cast<uint8_t>(level) - 1);
}
/// Bits of an address below the part that selects an entry in a table of `level`.
[[nodiscard]] constexpr unsigned ShiftOf(TableLevel level) {
  return kPageShift + 9 * static_cast<unsigned>(level);
}
/// The first address behind `addr` that an entry of a table of `level` begins at.
[[nodiscard]] constexpr VirtAddr NextBoundary(TableLevel level, VirtAddr addr) {
  return VirtAddr(((addr.value() >> ShiftOf(level)) + 1) << ShiftOf(level));
}
/// Which entry of a table of `level` an address selects.
[[nodiscard]] constexpr uint32_t IndexIn(TableLevel level, VirtAddr addr) {
  return static_cast<uint32_t>(addr.value() >> ShiftOf(level)) & 511u;
}

}  // namespace faultline
