// SPDX-License-Identifier: Apache-2.0
//
// Which lock advice about pages takes, under each scheme, on real threads (B23; Linux:
// try_vma_read_lock in mm/madvise.c): while somebody else holds mmap_lock for write, DONTNEED and
// FREE within one VMA go through if the scheme has a lock for the VMA, and all else waits.
//
// That it waits is asked of the kernel (test_thread.h), so nothing here depends on time.

#include <string>

#include "core/mm/mm_lock.h"
#include "core/mm/vma_edit.h"
#include "tests/core/mm/mm_fixture.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

class MadviseLockTest : public testing::TestWithParam<SchemeName> {
 protected:
  /// Pages 0 to 3 and 4 to 7 are two VMAs, all of them touched.
  MadviseLockTest() {
    for (const auto& [page, prot] : {std::pair(0, kRw), std::pair(4, kRw | kProtExec)}) {
      EXPECT_EQ(
          Why(mm_.Mmap({.addr = At(page), .length = Pages(4), .prot = prot, .flags = kAnonFixed})),
          "ok");
    }
    for (int page = 0; page < 8; ++page) EXPECT_EQ(Why(mm_.Write(At(page), 7)), "ok");
  }

  [[nodiscard]] static bool HasVmaLock() {
    switch (GetParam()) {
      case SchemeName::kMmapLock:
      case SchemeName::kSpfMmSeq:
      case SchemeName::kSpfVmaSeq:
        return false;
      default:
        return true;
    }
  }
  /// Gives the advice beside a writer of mmap_lock, who changes the VMA of page `marked`, if any,
  /// and expects it to wait for the writer or not.
  void Advise(int advice, int64_t page, uint64_t pages, bool waits, int64_t marked = -1) {
    std::string result;
    MmWriter writer(mm_);
    if (marked >= 0) writer.Mark(*VmaEditor(writer).FindFrom(At(marked)));
    TestThread adviser([&] { result = Why(mm_.Madvise(At(page), Pages(pages), advice)); });
    if (waits) adviser.AwaitParked();
    if (waits) writer.Release();
    adviser.Join();
    EXPECT_EQ(result, "ok");
  }
  [[nodiscard]] bool IsThere(int64_t page) { return mm_.View(At(page)).present; }

  MmWorld world_;
  Mm& mm_ = world_.NewMm({.fault = DefaultsOf(GetParam())});
};

TEST_P(MadviseLockTest, DontNeedWithinAVmaNeedsNoMmapLockIfTheVmaHasALock) {
  Advise(kMadvDontNeed, 1, 2, !HasVmaLock());
  EXPECT_TRUE(IsThere(0));
  EXPECT_FALSE(IsThere(1));
  EXPECT_FALSE(IsThere(2));
  EXPECT_TRUE(IsThere(3));
}

TEST_P(MadviseLockTest, DontNeedLockedOfAWholeVmaNeedsNoMmapLockEither) {
  Advise(kMadvDontNeedLocked, 0, 4, !HasVmaLock());
  EXPECT_FALSE(IsThere(0));
  EXPECT_FALSE(IsThere(3));
  EXPECT_TRUE(IsThere(4));
}

TEST_P(MadviseLockTest, FreeWithinAVmaNeedsNoMmapLockIfTheVmaHasALock) {
  Advise(kMadvFree, 4, 4, !HasVmaLock());
}

TEST_P(MadviseLockTest, MoreThanOneVmaTakesMmapLock) {
  Advise(kMadvDontNeed, 2, 4, true);
  EXPECT_TRUE(IsThere(1));
  EXPECT_FALSE(IsThere(2));
  EXPECT_FALSE(IsThere(5));
}

TEST_P(MadviseLockTest, AVmaThatAWriterHasMarkedTakesMmapLock) {
  Advise(kMadvDontNeed, 0, 4, true, /*marked=*/0);
  EXPECT_FALSE(IsThere(0));
}

TEST_P(MadviseLockTest, AWriterOfAnotherVmaIsNotWaitedFor) {
  Advise(kMadvDontNeed, 0, 4, !HasVmaLock(), /*marked=*/4);
  EXPECT_FALSE(IsThere(0));
}

TEST_P(MadviseLockTest, GuardRegionsTakeMmapLock) {
  Advise(kMadvGuardInstall, 0, 1, true);
  EXPECT_TRUE(mm_.View(At(0)).guard);
}

TEST_P(MadviseLockTest, RefusalsAreTheSameUnderEitherLock) {
  EXPECT_EQ(Why(mm_.Mlock(At(0), Pages(4))), "ok");
  EXPECT_EQ(Why(mm_.Madvise(At(0), Pages(1), kMadvDontNeed)), "EINVAL");
  EXPECT_EQ(Why(mm_.Madvise(At(20), Pages(1), kMadvDontNeed)), "ENOMEM");
}

INSTANTIATE_TEST_SUITE_P(Schemes, MadviseLockTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
