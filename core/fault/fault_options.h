// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen about the fault path of an Mm: the locking scheme (DESIGN section 4; seeds 001
// and 004) and, orthogonal to it, how page tables are allocated (seed 000, 001, 004), when the PTE
// table is, how tables are freed, and what a validating fault relies on. The names here are those
// of flags, protos, tests and reports.
//
// One function says which combinations there are; Mm::Create, the tools and --list all ask it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/build.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

/// How a fault finds its VMA and keeps it trustworthy.
enum class SchemeName : uint8_t {
  kMmapLock,    ///< S1, S2: mmap_lock held for read
  kVmaRwsem,    ///< S3: RCU lookup, a try of the VMA's rwsem (seed 004's sketch, with the re-check)
  kVmaLock,     ///< S4: the same with sequence numbers (Linux 6.4)
  kVmaRefcnt,   ///< S5: type-stable VMAs with a reference count (Linux 6.15 to 6.18)
  kSpfMmSeq,    ///< S6, S11: a copy of the VMA, checked against the mm's sequence
  kSpfVmaSeq,   ///< S7: the same with a sequence for each VMA
  kRcuRestart,  ///< S8, S10, S11: all in one RCU section; what fails starts again under vma_refcnt
  kRcuContinue,  ///< S9, S10: the same; what fails takes the VMA's count and goes on
  kCount
};

/// How the fault's page tables are allocated, and what happens if one cannot be had.
enum class TableAlloc : uint8_t {
  kEager,               ///< sleeping, as the walk goes
  kPreallocAll,         ///< A1: one for each level before the fault begins
  kPreallocMissing,     ///< A2: likewise, after a look at which are missing
  kNowaitScope,         ///< A3: a nowait scope; on failure pin the VMA, allocate sleeping, go on
  kGfpArgument,         ///< A4: GFP_NOWAIT as an argument; on failure the next rung
  kRcuImpliesNowait,    ///< A5: the allocator asks for the RCU depth; on failure the next rung
  kTaskFlag,            ///< A6: PF_MEMALLOC_NOWAIT for the whole fault; on failure the next rung
  kNowaitReclaimRetry,  ///< A7: NOWAIT|NOMEMALLOC|NOWARN; on failure reclaim and start again
  kCount
};

/// When the PTE table is allocated.
enum class PteTable : uint8_t {
  kAtSetPte,  ///< A8, B30: at the last moment, so that a huge page may still come
  kWithWalk,  ///< with the tables above
  kCount
};

/// How tables that an operation takes out of the tree are given back (A10, B14).
enum class TableFree : uint8_t {
  kDeferred,     ///< after a grace period, by RCU's callback
  kSynchronous,  ///< the operation waits for the grace period
  kCount
};

/// What makes the last step of a validating fault safe; without effect in the other schemes.
enum class FaultGuard : uint8_t {
  kStillValid,       ///< asked under the lock of the table written, which must not be stray (A11)
  kStillValidAlone,  ///< the same without the stray flag
  kGracePeriodBeforeZap,  ///< B14: writers wait for all faults under way, so nobody asks
  kCount
};

struct FaultOptions {
  SchemeName scheme = SchemeName::kMmapLock;
  TableAlloc pgtable_alloc = TableAlloc::kEager;
  PteTable pte_table = PteTable::kAtSetPte;
  TableFree pgtable_free = TableFree::kDeferred;
  FaultGuard guard = FaultGuard::kStillValid;
  /// spf_*: faults put in missing upper tables themselves, instead of leaving that to mmap_lock.
  bool spf_wire_tables = false;
  /// The machine counts the depth of RCU sections, which kRcuImpliesNowait needs: seed 000's
  /// objection is that most kernels do not.
  bool depth_known = false;

  friend bool operator==(const FaultOptions&, const FaultOptions&) = default;
};

/// The scheme with the policies that suit it: eager where a fault may sleep, else the least that
/// its source asks for.
[[nodiscard]] FaultOptions DefaultsOf(SchemeName scheme);

/// Why there is no such combination, naming the field, its value and what is allowed; nothing if
/// there is one. Also for values that are no enumerators.
[[nodiscard]] std::optional<std::string> WhyRefused(const FaultOptions& options);
[[nodiscard]] inline bool IsAllowed(const FaultOptions& options) {
  return !WhyRefused(options).has_value();
}

/// In snake_case, as flags and reports have them.
[[nodiscard]] std::string_view Name(SchemeName scheme);
[[nodiscard]] std::string_view Name(TableAlloc alloc);
[[nodiscard]] std::string_view Name(PteTable when);
[[nodiscard]] std::string_view Name(TableFree how);
[[nodiscard]] std::string_view Name(FaultGuard guard);

/// Every scheme, in the order of the table in docs/schemes.
[[nodiscard]] std::span<const SchemeName> AllSchemes();

/// All but the scheme as one word for reports and replay strings, such as
/// "gfp_argument,at_set_pte,deferred,still_valid"; flags that are on follow as words of their own.
[[nodiscard]] std::string PoliciesOf(const FaultOptions& options);
/// Sets the policies that `words` names, in any order, each at most once; the rest stays. What it
/// does not understand is returned as a sentence.
[[nodiscard]] std::optional<std::string> ParsePolicies(std::string_view words,
                                                       FaultOptions& options);
[[nodiscard]] std::optional<SchemeName> SchemeFromName(std::string_view name);

}  // namespace faultline
