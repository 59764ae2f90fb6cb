// SPDX-License-Identifier: Apache-2.0
//
// Faults in a NoWaitScope under each scheme, native: beside a writer in mmap_lock, below a stack,
// without memory, and where an anon_vma's lock is held, they say that they would have to wait, at
// once and with nothing counted, and can be made again by a task that may sleep. That they did not
// block needs no clock: whoever holds the lock joins their thread.
//
// And what else AccessOutcome tells apart: killed, and out of memory.

#include <string>

#include "core/folio/no_wait_scope.h"
#include "core/mm/mm_lock.h"
#include "tests/core/mm/fault_ladder.h"
#include "tests/core/mm/fault_options_list.h"
#include "tests/core/mm/mm_fixture.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

constexpr auto kRead = AccessKind::kRead;
constexpr auto kWrite = AccessKind::kWrite;

constexpr uint32_t SitesOf(FailSite site) { return 1u << static_cast<uint32_t>(site); }

/// What counts of faults that ended, and why rungs were left.
std::string Counted(const FaultStatsSnapshot& stats) {
  return LadderBetween({}, stats) + "; abort " +
         std::to_string(stats.Count(FaultCounter::kVmaLockAbort)) + ", retry " +
         std::to_string(stats.Count(FaultCounter::kVmaLockRetry));
}

class NoWaitTest : public MmTest, public testing::WithParamInterface<SchemeName> {
 protected:
  NoWaitTest() : MmTest({.fault = DefaultsOf(GetParam())}) {}

  /// One fault in a scope, in a thread that has ended when this returns. It leaves no event.
  static AccessEnd FaultWithoutWaiting(Mm& mm, VirtAddr addr, AccessKind access) {
    FaultEventRing ring(4);
    AccessOutcome outcome;
    TestThread([&] {
      const FaultRecording recording(&ring);
      const NoWaitScope scope;
      outcome = mm.Fault({addr, access});
    }).Join();
    const bool waits = outcome.end == AccessEnd::kWouldWait;
    EXPECT_EQ(ring.Take().records.size(), waits ? 0u : 1u);
    EXPECT_TRUE(!waits || outcome.signal == 0);
    return outcome.end;
  }
  AccessEnd FaultWithoutWaiting(int64_t page, AccessKind access) {
    return FaultWithoutWaiting(mm(), At(page), access);
  }
  [[nodiscard]] std::string Counted() { return faultline::Counted(mm().fault_stats().Snapshot()); }
};

TEST_P(NoWaitTest, GivesUpBesideAWriterAndEndsOnceItHasGone) {
  Map(0, 4);
  Map(8, 1);
  Fill(8, 1, 1);  // upper tables
  mm().fault_stats().Reset();
  const std::string nothing = Counted();
  {
    MmWriter writer(mm());
    writer.Mark(*VmaFinder(writer.tree()).FindFrom(At(0)));
    EXPECT_EQ(FaultWithoutWaiting(0, kWrite), AccessEnd::kWouldWait);
    EXPECT_EQ(FaultWithoutWaiting(1, kRead), AccessEnd::kWouldWait);
    EXPECT_EQ(Counted(), nothing);
  }
  EXPECT_FALSE(mm().View(At(0)).present);
  EXPECT_EQ(FaultWithoutWaiting(0, kWrite), AccessEnd::kDone);
  EXPECT_EQ(FaultWithoutWaiting(1, kRead), AccessEnd::kDone);
  EXPECT_TRUE(mm().View(At(0)).present);
  EXPECT_EQ(mm().fault_stats().Snapshot().Ended(), 2);
  EXPECT_EQ(mm().fault_stats().Snapshot().Left(FaultRung::kMmapLock), 0);
}

TEST_P(NoWaitTest, CountsAndDoesWhatAFaultDoesThatNeedNotWait) {
  Mm& other = world().NewMm({.fault = DefaultsOf(GetParam())});
  Map(0, 8);
  MapIn(other, 0, 8);
  for (int64_t page = 0; page < 8; ++page) {
    const AccessKind access = page % 2 == 0 ? kWrite : kRead;
    EXPECT_EQ(FaultWithoutWaiting(page, access), AccessEnd::kDone);
    EXPECT_TRUE(other.Fault({At(page), access}).ok());
  }
  EXPECT_EQ(FaultWithoutWaiting(9, kRead), AccessEnd::kBadAddress);
  EXPECT_EQ(Why(other.Fault({At(9), kRead})), "SEGV_MAPERR");
  EXPECT_EQ(Counted(), faultline::Counted(other.fault_stats().Snapshot()));
}

TEST_P(NoWaitTest, LeavesStacksToGrowToOthers) {
  Map(8, 2, kRw, kAnonFixed | abi::kMapGrowsDown);
  mm().fault_stats().Reset();
  const std::string nothing = Counted();
  EXPECT_EQ(FaultWithoutWaiting(6, kWrite), AccessEnd::kWouldWait);
  EXPECT_EQ(Counted(), nothing);
  EXPECT_EQ(MapsOf(mm()), "8-10 rw-p");
  EXPECT_EQ(Writes(6), "ok");
  EXPECT_EQ(MapsOf(mm()), "6-10 rw-p");
}

TEST_P(NoWaitTest, LeavesTheEndOfMemoryToOthers) {
  for (const FaultOptions& options : SchemesByAlloc()) {
    if (options.scheme != GetParam()) continue;
    SCOPED_TRACE(PoliciesOf(options));
    Mm& mm = world().NewMm({.fault = options});
    MapIn(mm, 0, 4);
    ASSERT_TRUE(mm.Touch(At(3), kWrite).ok());
    machine().fail_points().Arm(1, FailPoints::Mode::kForEver, SitesOf(FailSite::kFrame));
    mm.fault_stats().Reset();
    const std::string nothing = faultline::Counted(mm.fault_stats().Snapshot());
    EXPECT_EQ(FaultWithoutWaiting(mm, At(0), kWrite), AccessEnd::kWouldWait);
    EXPECT_EQ(faultline::Counted(mm.fault_stats().Snapshot()), nothing);
    EXPECT_EQ(mm.fault_stats().Snapshot().Count(FaultCounter::kFruitlessReclaims), 0);
    EXPECT_EQ(mm.Fault({At(0), kWrite}).end, AccessEnd::kOutOfMemory);
    EXPECT_EQ(mm.fault_stats().Snapshot().Ended(), 1);
    machine().fail_points().Disarm();
    EXPECT_EQ(FaultWithoutWaiting(mm, At(0), kWrite), AccessEnd::kDone);
    world().Drop(mm);
  }
}

TEST_P(NoWaitTest, LeavesTablesThatAreNotToBeHadToOthers) {
  for (const FaultOptions& options : SchemesByAlloc()) {
    if (options.scheme != GetParam()) continue;
    SCOPED_TRACE(PoliciesOf(options));
    Mm& mm = world().NewMm({.fault = options});
    MapIn(mm, 0, 4);
    machine().fail_points().Arm(1, FailPoints::Mode::kForEver, SitesOf(FailSite::kTable));
    const std::string nothing = faultline::Counted(mm.fault_stats().Snapshot());
    EXPECT_EQ(FaultWithoutWaiting(mm, At(0), kRead), AccessEnd::kWouldWait);
    EXPECT_EQ(faultline::Counted(mm.fault_stats().Snapshot()), nothing);
    EXPECT_EQ(mm.fault_stats().Snapshot().Count(FaultCounter::kTableFailures), 0);
    machine().fail_points().Disarm();
    EXPECT_EQ(FaultWithoutWaiting(mm, At(0), kRead), AccessEnd::kDone);
    world().Drop(mm);
  }
}

// What is injected is met by the fault that may sleep, as if it had been made at once.
TEST_P(NoWaitTest, LeavesInjectedFailuresToOthers) {
  Map(0, 4);
  ASSERT_EQ(Writes(3), "ok");
  FailPoints& points = machine().fail_points();
  points.Arm(2, FailPoints::Mode::kOnce);
  EXPECT_EQ(FaultWithoutWaiting(0, kWrite), AccessEnd::kWouldWait);
  EXPECT_EQ(FaultWithoutWaiting(0, kWrite), AccessEnd::kWouldWait);
  EXPECT_EQ(points.failed(), 0u);
  EXPECT_EQ(Writes(0), "ok");  // the first allocation
  const AccessOutcome second = mm().Fault({At(1), kWrite});
  EXPECT_EQ(points.failed(), 1u);
  EXPECT_TRUE(second.ok() || second.end == AccessEnd::kOutOfMemory);
  points.Disarm();
}

// A neighbour lends its anon_vma, whose lock tasks of other mms may hold.
TEST_P(NoWaitTest, GivesUpWhereTheLockOfANeighboursAnonVmaIsHeld) {
  Map(0, 4);
  Fill(0, 1, 1);
  Map(4, 4, kRw | abi::kProtExec);  // apart, but could be one if their access rights were equal
  RwSem<LockRank::kAnonVma>* lock = nullptr;
  {
    const MmReader reader(mm());
    lock = &reader.FindFrom(At(0))->anon_vma()->lock();
  }
  mm().fault_stats().Reset();
  const std::string nothing = Counted();
  WriteHolder<RwSem<LockRank::kAnonVma>> holder(*lock);
  EXPECT_EQ(FaultWithoutWaiting(5, kWrite), AccessEnd::kWouldWait);
  EXPECT_EQ(Counted(), nothing);
  holder.LetGo();
  EXPECT_EQ(FaultWithoutWaiting(5, kWrite), AccessEnd::kDone);
  const MmReader reader(mm());
  EXPECT_EQ(&reader.FindFrom(At(4))->anon_vma()->lock(), lock);
}

TEST_P(NoWaitTest, ScopesNest) {
  Map(0, 4);
  {
    const NoWaitScope outer;
    {
      const NoWaitScope inner;
    }
    EXPECT_TRUE(NoWaitScope::IsInForce());
    EXPECT_TRUE(mm().Touch(At(0), kWrite).ok());
  }
  EXPECT_FALSE(NoWaitScope::IsInForce());
  EXPECT_EQ(AllocScope::Depth(), 0u);
}

TEST_P(NoWaitTest, AKilledAccessIsNotOneWithoutMemory) {
  Map(0, 4);
  AccessOutcome outcome;
  {
    MmWriter writer(mm());
    writer.Mark(*VmaFinder(writer.tree()).FindFrom(At(0)));
    TestThread fault([&] {
      outcome = mm().Fault({At(0), kWrite});
      CurrentTask().ClearKill();
    });
    fault.AwaitParked();
    fault.task().Kill();
    fault.Join();
  }
  EXPECT_EQ(outcome.end, AccessEnd::kKilled);
  EXPECT_EQ(outcome.signal, abi::kSigKill);
  machine().fail_points().Arm(1, FailPoints::Mode::kForEver, SitesOf(FailSite::kFrame));
  outcome = mm().Fault({At(0), kWrite});
  machine().fail_points().Disarm();
  EXPECT_EQ(outcome.end, AccessEnd::kOutOfMemory);
  EXPECT_EQ(outcome.signal, abi::kSigKill);
}

INSTANTIATE_TEST_SUITE_P(Schemes, NoWaitTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
