// SPDX-License-Identifier: Apache-2.0
//
// Limits at their exact boundaries: max_map_count for each way of getting one VMA more, and the
// rlimits, with and without the capability.

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

MmOptions With(void (*change)(MmOptions&)) {
  MmOptions options;
  change(options);
  return options;
}

class MapCountTest : public MmTest {
 protected:
  static constexpr uint64_t kLimit = 12;
  MapCountTest() : MmTest(With([](MmOptions& options) { options.max_map_count = kLimit; })) {}
  /// Single pages with holes between them, from page 100 on, until there are `count` VMAs.
  void MapUpTo(uint64_t count) {
    for (int64_t page = 100; mm().map_count() < count; page += 2) Map(page, 1);
  }
  std::string MapOne(int64_t page) {
    return Why(mm().Mmap({.addr = At(page), .length = Pages(1), .prot = kRw, .flags = kAnonFixed}));
  }
};

TEST_F(MapCountTest, MmapMayGoOneAboveTheLimit) {
  MapUpTo(kLimit);
  EXPECT_EQ(MapOne(10), "ok");  // Linux compares with >, and then adds one
  EXPECT_EQ(mm().map_count(), kLimit + 1);
  EXPECT_EQ(MapOne(20), "ENOMEM");
}

TEST_F(MapCountTest, MmapAboveTheLimitIsRefusedEvenIfItWouldMerge) {
  MapUpTo(kLimit + 1);
  EXPECT_EQ(MapOne(101), "ENOMEM");
}

TEST_F(MapCountTest, SplitsNeedOneFree) {
  Map(0, 3);
  MapUpTo(kLimit - 1);
  EXPECT_EQ(Why(mm().Mprotect(At(0), Pages(1), kR)), "ok");  // one split
  EXPECT_EQ(mm().map_count(), kLimit);
  EXPECT_EQ(Why(mm().Mprotect(At(1), Pages(1), kNone)), "ENOMEM");
  EXPECT_EQ(Why(mm().Madvise(At(1), Pages(1), kMadvDontFork)), "EAGAIN");
  EXPECT_EQ(Why(mm().Mlock(At(1), Pages(1))), "ENOMEM");
}

TEST_F(MapCountTest, MprotectInTheMiddleKeepsItsFirstSplit) {
  Map(0, 3);
  MapUpTo(kLimit - 1);
  EXPECT_EQ(Why(mm().Mprotect(At(1), Pages(1), kR)), "ENOMEM");
  EXPECT_EQ(mm().map_count(), kLimit);
  EXPECT_EQ(MapsOf(mm(), 0, 3), "0-1 rw-p, 1-3 rw-p");
}

TEST_F(MapCountTest, MunmapMayNotPunchAHoleAtTheLimit) {
  Map(0, 3);
  MapUpTo(kLimit);
  EXPECT_EQ(Why(mm().Munmap(At(1), Pages(1))), "ENOMEM");
  EXPECT_EQ(MapsOf(mm(), 0, 3), "0-3 rw-p");
  EXPECT_EQ(Why(mm().Munmap(At(2), Pages(1))), "ok");  // an end is no hole
  EXPECT_EQ(Why(mm().Munmap(At(0), Pages(1))), "ok");
  EXPECT_EQ(MapsOf(mm(), 0, 3), "1-2 rw-p");
}

TEST_F(MapCountTest, MremapLeavesRoomForFourSplits) {
  Map(0, 2);
  MapUpTo(kLimit - 6);
  constexpr uint64_t kTo = kMremapMayMove | kMremapFixed;
  EXPECT_EQ(Why(mm().Mremap(At(0), Pages(2), Pages(2), kTo, At(10))), "ok");
  MapUpTo(kLimit - 5);
  EXPECT_EQ(Why(mm().Mremap(At(10), Pages(2), Pages(2), kTo, At(0))), "ENOMEM");
}

// -- Options of an mm ----------------------------------------------------------------------------

TEST(MmOptionsTest, AnOddFirstSequenceIsRefusedWithFieldValueAndRange) {
  EXPECT_EQ(WhyRefused(MmOptions{.first_sequence = 7}),
            "first_sequence: 7 is odd, as if a writer were in; allowed: even numbers from 0 to "
            "18446744073709551614");
  MmWorld world;
  EXPECT_EQ(Why(world.machine().CreateMm({.first_sequence = 7})), "EINVAL");
  EXPECT_EQ(Why(world.machine().CreateMm({.first_sequence = UINT64_MAX})), "EINVAL");
}

TEST(MmOptionsTest, TheGreatestEvenFirstSequenceIsAllowed) {
  EXPECT_EQ(WhyRefused(MmOptions{}), std::nullopt);
  MmWorld world;
  world.NewMm({.first_sequence = UINT64_MAX - 1});
}

TEST(MmOptionsTest, WhatTheFaultPathRefusesIsRefused) {
  const MmOptions options{.fault = {.scheme = SchemeName::kRcuRestart}};  // eager
  ASSERT_TRUE(WhyRefused(options.fault).has_value());
  EXPECT_EQ(WhyRefused(options), WhyRefused(options.fault));
}

class RlimitAsTest : public MmTest {
 protected:
  RlimitAsTest() : MmTest(With([](MmOptions& options) { options.rlimit_as = Pages(8) + 100; })) {}
};

TEST_F(RlimitAsTest, CountsWholePagesAndWhatIsReplaced) {
  Map(0, 8);
  EXPECT_EQ(Why(mm().Mmap({.addr = At(10), .length = 1, .flags = kAnonFixed})), "ENOMEM");
  EXPECT_EQ(Why(mm().Mremap(At(0), Pages(8), Pages(9), 0, At(0))), "ENOMEM");
  Map(4, 4, kR);  // in place of others
  EXPECT_EQ(Why(mm().Mmap({.addr = At(4), .length = Pages(5), .flags = kAnonFixed})), "ENOMEM");
  EXPECT_EQ(mm().pages().total, 8u);
}

class RlimitDataTest : public MmTest {
 protected:
  RlimitDataTest() : MmTest(With([](MmOptions& options) { options.rlimit_data = Pages(8); })) {}
};

TEST_F(RlimitDataTest, CountsPrivateWritableMemoryOnly) {
  Map(0, 6);
  EXPECT_EQ(Why(mm().Mmap({.addr = At(10), .length = Pages(3), .prot = kRw, .flags = kAnonFixed})),
            "ENOMEM");
  Map(10, 3, kR);
  Map(20, 30, kRw, kSharedAnonFixed);
  EXPECT_EQ(mm().pages().data, 6u);
  EXPECT_EQ(Why(mm().Mprotect(At(10), Pages(3), kRw)), "ENOMEM");
  EXPECT_EQ(Why(mm().Mprotect(At(10), Pages(2), kRw)), "ok");
}

TEST_F(RlimitDataTest, LimitsTheHeap) {
  const VirtAddr start = mm().brk();
  EXPECT_EQ(*mm().Brk(start + Pages(8)), start + Pages(8));
  EXPECT_EQ(*mm().Brk(start + Pages(8) + 1), start + Pages(8));
}

class RlimitMemlockTest : public MmTest {
 protected:
  RlimitMemlockTest()
      : MmTest(With([](MmOptions& options) {
          options.rlimit_memlock = Pages(4);
          options.can_ipc_lock = false;
        })) {}
};

TEST_F(RlimitMemlockTest, CountsEachLockedPageOnce) {
  Map(0, 8);
  EXPECT_EQ(Why(mm().Mlock(At(0), Pages(4))), "ok");
  EXPECT_EQ(Why(mm().Mlock(At(1), Pages(3))), "ok");  // these are locked already
  EXPECT_EQ(Why(mm().Mlock(At(1), Pages(4))), "ENOMEM");
  EXPECT_EQ(mm().pages().locked, 4u);
  EXPECT_EQ(Why(mm().Munlock(At(0), Pages(1))), "ok");
  EXPECT_EQ(Why(mm().Mlock(At(1), Pages(4))), "ok");
}

TEST_F(RlimitMemlockTest, MmapSaysEagain) {
  EXPECT_EQ(
      Why(mm().Mmap(
          {.addr = At(0), .length = Pages(5), .prot = kRw, .flags = kAnonFixed | kMapLocked})),
      "EAGAIN");
  Map(0, 4, kRw, kAnonFixed | kMapLocked);
  EXPECT_EQ(Why(mm().Mremap(At(0), Pages(4), Pages(5), 0, At(0))), "EAGAIN");
}

TEST_F(RlimitMemlockTest, MlockallCountsTheWholeMm) {
  Map(0, 5);
  EXPECT_EQ(Why(mm().Mlockall(kMclCurrent)), "ENOMEM");
  EXPECT_EQ(Why(mm().Munmap(At(0), Pages(1))), "ok");
  EXPECT_EQ(Why(mm().Mlockall(kMclCurrent)), "ok");
}

class NoMemlockTest : public MmTest {
 protected:
  NoMemlockTest()
      : MmTest(With([](MmOptions& options) {
          options.rlimit_memlock = 0;
          options.can_ipc_lock = false;
        })) {}
};

TEST_F(NoMemlockTest, LockingIsNotPermitted) {
  Map(0, 1);
  EXPECT_EQ(Why(mm().Mlock(At(0), Pages(1))), "EPERM");
  EXPECT_EQ(Why(mm().Mlockall(kMclCurrent)), "EPERM");
}

class CommitLimitTest : public MmTest {
 protected:
  CommitLimitTest() : MmTest(With([](MmOptions& options) { options.commit_limit_pages = 8; })) {}
};

TEST_F(CommitLimitTest, IsOfOneCallNotOfAll) {
  Map(0, 8);
  Map(10, 8);
  EXPECT_EQ(Why(mm().Mmap({.addr = At(30), .length = Pages(9), .prot = kRw, .flags = kAnonFixed})),
            "ENOMEM");
  Map(30, 9, kRw, kAnonFixed | kMapNoReserve);
  Map(40, 9, kR);
  EXPECT_EQ(mm().pages().committed, 16u);
}

}  // namespace
}  // namespace faultline
