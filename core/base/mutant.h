// SPDX-License-Identifier: Apache-2.0
//
// Mutants: bugs planted in the core, each off unless asked for, that the explorer has to find.
//
// A mutant is a branch `if (MutantOn(Mutant::kX))` next to the correct code. A clean result of the
// explorer means something only because it finds these, so each mutant names one failure that
// happened in a kernel or could. In the native build MutantOn is constant false and the branch is
// gone; SetMutant does not exist there, so no measurement can run mutated code.
//
// Linux analogue: lib/fault-inject.c in mechanism; the bug fixes of mm/ in content.
// Invariant: at most one mutant is on, and it changes only between schedules.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/build.h"

/// Every mutant, once: enumerator, name on command lines and in reports, what goes wrong.
#define FAULTLINE_MUTANT_TABLE(X)                                                              \
  X(kNone, "none", "the code as it should be")                                                 \
  X(kRwSemLosesWakeup, "rwsem_loses_wakeup",                                                   \
    "RwSem: a release misses a waiter that queues at the same time, and it sleeps for ever")   \
  X(kRwSemDowngradeLetsWriterIn, "rwsem_downgrade_lets_writer_in",                             \
    "RwSem: a downgrade leaves a moment without a holder, in which a queued writer enters")    \
  X(kSeqCountReaderForgetsRecheck, "seqcount_reader_forgets_recheck",                          \
    "SeqCount: a reader uses its copy without comparing the sequence afterwards")              \
  X(kFreeWithoutGracePeriod, "free_without_grace_period",                                      \
    "Rcu: an object is freed at once while a reader may still hold it")                        \
  X(kSleepInRcuSection, "sleep_in_rcu_section", "Rcu: a reader sleeps inside its section")     \
  X(kAbbaOrder, "abba_order", "two locks are taken in both orders, and two tasks deadlock")    \
  X(kStaleTypeStablePointer, "stale_type_stable_pointer",                                      \
    "slab: a reference to a recycled object is used without checking whose it is now")         \
  X(kM1, "m1", "a table is put into a table that munmap has taken out, with no StillValid")    \
  X(kM3, "m3", "fork copies the parent's entries without write-locking its VMAs")              \
  X(kM4, "m4", "the last reader of a VMA recycled elsewhere wakes a mm that it does not pin")  \
  X(kM5, "m5", "a VMA's range is checked before its count is taken, and not after")            \
  X(kM6, "m6", "a lookup that found a detached VMA says that nothing is mapped")               \
  X(kM7, "m7", "a stack grows in place under mmap_lock held for read, without a mark")         \
  X(kM8, "m8", "a page table is allocated with a sleeping allocation inside an RCU section")   \
  X(kM9, "m9", "a table that was allocated ahead is leaked when the fault leaves early")       \
  X(kM10, "m10", "an anonymous page is mapped in a VMA that has no anon_vma")                  \
  X(kM13, "m13", "a stack grows under mmap_lock held for read into the hole being freed")      \
  X(kM14, "m14", "mmap_lock is waited for while a VMA is held for reading")                    \
  X(kM15, "m15", "pages go back to the allocator before the TLBs are flushed")                 \
  X(kM17, "m17", "munmap skips an upper entry that it read as empty without the table's lock") \
  X(kM18, "m18", "tables are freed before the VMA has left i_mmap and anon_vma")               \
  X(kM19, "m19", "vma_rwsem: no look at whether the VMA was detached before the trylock")      \
  X(kM22, "m22", "copy-on-write sets the new entry before it clears and flushes the old one")  \
  X(kM23, "m23", "a lookup that found a detached VMA goes on from where it was")               \
  X(kMapsForgetRange, "maps_forget_range",                                                     \
    "a reader of maps takes a VMA that has moved since, without looking where it lies now")

namespace faultline::inline FAULTLINE_FLAVOUR {

/// A planted bug. The numbers may change from one version to the next; the names do not.
enum class Mutant : std::uint8_t {
#define FAULTLINE_ENUMERATOR(enumerator, name, description) enumerator,
  FAULTLINE_MUTANT_TABLE(FAULTLINE_ENUMERATOR)
#undef FAULTLINE_ENUMERATOR
};

/// Name of `mutant` in snake_case.
[[nodiscard]] std::string_view Name(Mutant mutant) noexcept;

/// One line: what goes wrong when `mutant` is on.
[[nodiscard]] std::string_view Description(Mutant mutant) noexcept;

/// The mutant called `name`; none if there is no such mutant.
[[nodiscard]] std::optional<Mutant> MutantFromName(std::string_view name) noexcept;

/// Every planted bug in table order, without kNone.
[[nodiscard]] std::span<const Mutant> AllMutants() noexcept;

#if defined(FAULTLINE_MODELLED)

namespace mutant_internal {
extern Mutant current;  // Read by MutantOn, written by SetMutant; unsynchronised, see there.
}  // namespace mutant_internal

/// Turns on `mutant` and turns off the one before; kNone turns all off. Process-wide and
/// unsynchronised: only the explorer calls it, between schedules, when no other OS thread runs
/// modelled code (all fibers of a schedule share one OS thread).
inline void SetMutant(Mutant mutant) noexcept { mutant_internal::current = mutant; }

/// True when the current mutant is `mutant`. Ask for a planted bug only, never for kNone.
[[nodiscard]] inline bool MutantOn(Mutant mutant) noexcept {
  return mutant_internal::current == mutant;
}

#else

/// Constant false: the native build has no mutants.
[[nodiscard]] constexpr bool MutantOn(Mutant /*mutant*/) noexcept { return false; }

#endif

}  // namespace faultline
