// SPDX-License-Identifier: Apache-2.0
//
// Sequence counts (Linux: seqcount_t; B20, B21): readers that write nothing and find out afterwards
// whether a writer was at work meanwhile.
//
// Protocol: writers, one at a time under a lock of theirs, make the count odd, change the data,
// make it even. A reader notes an even count, loads, and compares. The data are Atomic<T>, loaded
// and stored relaxed between the two, since a plain read beside a writer would be a data race in
// C++. The count has 64 bits and only grows: a note taken at any time stays comparable (B21).
// Guarantee: if Retry says no, all loads since Begin saw one state that existed between writes.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/build.h"
#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/sync/atomic.h"
#include "core/sync/spin.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class SeqCount {
 public:
  SeqCount() = default;
  explicit SeqCount(uint64_t first) : count_(first) {}
  SeqCount(const SeqCount&) = delete;
  SeqCount& operator=(const SeqCount&) = delete;

  /// Starts a read; busy waits while a writer is at work.
  [[nodiscard]] uint64_t ReadBegin(SourceLoc where = SourceLoc::Current()) const {
    uint64_t count = 0;
    const auto is_even = [&] {
      count = count_.Load(kAcquire, where);  // pairs with WriteEnd; data loads stay behind it
      return IsEven(count);
    };
    SpinUntil(is_even, where);
    return count;
  }

  /// Starts a read unless a writer is at work (Linux: mmap_lock_speculate_try_begin). The note is
  /// valid for Retry only if the result is true.
  [[nodiscard]] bool TryReadBegin(uint64_t& note, SourceLoc where = SourceLoc::Current()) const {
    note = count_.Load(kAcquire, where);  // pairs with WriteEnd; data loads stay behind it
    return IsEven(note);
  }

  /// Whether a writer was at work since `note` was taken, so that what was loaded is worthless.
  [[nodiscard]] bool ReadRetry(uint64_t note, SourceLoc where = SourceLoc::Current()) const {
    if (MutantOn(Mutant::kSeqCountReaderForgetsRecheck)) return false;
    // The data loads come before the fence, the load of the count after it: if any of them saw a
    // writer's store, that writer's WriteBegin is seen too. Pairs with the fence in WriteBegin.
    Fence(kAcquire);
    return count_.Load(kRelaxed, where) != note;
  }

  /// Starts a write. The caller excludes other writers.
  void WriteBegin(SourceLoc where = SourceLoc::Current()) {
    const uint64_t count = count_.Load(kRelaxed, where);  // relaxed: only writers change it
    MM_DCHECK(IsEven(count));
    count_.Store(count + 1, kRelaxed, where);
    Fence(kRelease);  // the data stores stay behind the odd count; pairs with ReadRetry
  }
  /// Ends a write.
  void WriteEnd(SourceLoc where = SourceLoc::Current()) {
    const uint64_t count = count_.Load(kRelaxed, where);  // relaxed: only writers change it
    MM_DCHECK(!IsEven(count));
    count_.Store(count + 1, kRelease, where);  // pairs with ReadBegin
  }

  /// For counts kept by hand: stores that follow stay behind the store of the count before, for who
  /// loads them and then that count behind an acquire fence (see ReadRetry).
  static void WriteFence() { Fence(kRelease); }
  /// The reader's side of it.
  static void ReadFence() { Fence(kAcquire); }

  /// The count now; odd while a writer is at work. A hint unless the caller excludes writers.
  [[nodiscard]] uint64_t value(SourceLoc where = SourceLoc::Current()) const {
    return count_.Load(kAcquire, where);  // pairs with WriteEnd
  }

 private:
  [[nodiscard]] static constexpr bool IsEven(uint64_t count) { return (count & 1) == 0; }

  /// A fence in the native build. The modelled build is sequentially consistent, and
  /// ThreadSanitizer does not know fences (nor does it need them here: all data are atomics).
  static void Fence([[maybe_unused]] std::memory_order order) {
#if !defined(FAULTLINE_MODELLED) && !FAULTLINE_TSAN
    std::atomic_thread_fence(order);
#endif
  }

  Atomic<uint64_t> count_{0};
};

/// Brackets a write of a SeqCount. The caller excludes other writers.
class SeqWriteGuard {
 public:
  explicit SeqWriteGuard(SeqCount& count, SourceLoc where = SourceLoc::Current())
      : count_(count), where_(where) {
    count_.WriteBegin(where);
  }
  ~SeqWriteGuard() { count_.WriteEnd(where_); }
  SeqWriteGuard(const SeqWriteGuard&) = delete;
  SeqWriteGuard& operator=(const SeqWriteGuard&) = delete;

 private:
  SeqCount& count_;
  [[no_unique_address]] SourceLoc where_;
};

}  // namespace faultline
