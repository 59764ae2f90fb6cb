// SPDX-License-Identifier: Apache-2.0
//
// The scheme that docs/adding-a-scheme.md adds, compiled as the page has it (tests/lint compares
// the two) and given faults. Its enumerator and its row of the table are the core's and are not
// there: the test calls the scheme's function itself, and the build says what number it would have.
//
// Guarantee shown: a fault ends under the VMA's count with mmap_lock free, and goes where the page
// says it goes otherwise.

#include "core/fault/schemes/mmap_lookup.h"
#include "core/observe/fault_events.h"
#include "tests/core/fault/fault_test_base.h"
#include "tests/core/mm/fault_ladder.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

template <FaultScheme S>
FaultOutcome Fault(FaultTarget& target, const FaultRequest& request, FaultEventScope& event);

namespace {

class NinthSchemeTest : public FaultTestBase {
 protected:
  FaultOutcome FaultAt(VirtAddr addr, AccessKind access) {
    FaultEventScope event(addr, static_cast<uint8_t>(access));
    return Fault<MmapLookupScheme>(mm_->target(), {.addr = addr, .access = access}, event);
  }
  /// How all faults so far fared.
  [[nodiscard]] std::string Ladder() { return LadderBetween({}, mm_->target().stats.Snapshot()); }
};

TEST_F(NinthSchemeTest, AFaultEndsUnderTheVmasCount) {
  mm_->Map(kBase, 8, kPrivateReadWrite);
  EXPECT_EQ(FaultAt(Page(0), kWrite), 0u);
  EXPECT_TRUE(mm_->EntryAt(Page(0)).writable());
  EXPECT_EQ(Ladder(), "vma_lock");
}

TEST_F(NinthSchemeTest, MmapLockIsFreeWhileTheVmaIsHeld) {
  mm_->Map(kBase, 8, kPrivateReadWrite);
  MmapLookupScheme::Hold hold;
  ASSERT_TRUE(MmapLookupScheme::Begin(mm_->target(), {.addr = Page(3), .access = kRead}, hold));
  EXPECT_EQ(hold.vma, &mm_->vma());
  EXPECT_TRUE(hold.view.Contains(Page(3)));
  const bool free = mm_->target().mmap_lock.TryLock();
  if (free) mm_->target().mmap_lock.Unlock();
  EXPECT_TRUE(free);
  MmapLookupScheme::End(mm_->target(), hold);
}

TEST_F(NinthSchemeTest, WhatIsNotMappedIsSaidUnderMmapLock) {
  EXPECT_EQ(FaultAt(Page(0), kRead), fault_bit::kNoVma);
  EXPECT_EQ(Ladder(), "vma_lock no_vma, mmap_lock");
}

TEST_F(NinthSchemeTest, ItsNumberWouldBeTheNextOne) {
  EXPECT_EQ(static_cast<size_t>(MmapLookupScheme::kInfo.scheme), AllSchemes().size());
}

}  // namespace
}  // namespace faultline
