// SPDX-License-Identifier: Apache-2.0
//
// The first anonymous write of a VMA while somebody else holds mmap_lock for write, under each
// scheme, on real threads: under the VMA's lock mmap_lock may only be tried (B4, B28), so the fault
// leaves it, which Linux counts as RETRY (B17), and waits for mmap_lock with nothing held. Its
// event says so.
//
// A task that is killed meanwhile stops waiting, and its fault has ended, too.
//
// That it waits is asked of the kernel (test_thread.h), so nothing here depends on time.

#include <string>

#include "tests/core/fault/fault_test_base.h"
#include "tests/core/mm/fault_ladder.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

class ContendedFaultTest : public FaultTestBase, public testing::WithParamInterface<SchemeName> {
 protected:
  /// Rungs in the ladder's order, each tried once: what has upgraded to the VMA's lock and leaves
  /// it for want of mmap_lock does not begin there again.
  static std::string Expected() {
    switch (GetParam()) {
      case SchemeName::kMmapLock:
        return "mmap_lock";
      case SchemeName::kSpfMmSeq:
      case SchemeName::kSpfVmaSeq:
        return "validated no_anon_vma, mmap_lock";
      case SchemeName::kRcuRestart:
      case SchemeName::kRcuContinue:
        return "validated no_anon_vma, vma_lock no_anon_vma, mmap_lock";
      default:
        return "vma_lock no_anon_vma, mmap_lock";
    }
  }
  static int64_t ExpectedRetries() {
    switch (GetParam()) {
      case SchemeName::kMmapLock:
      case SchemeName::kSpfMmSeq:
      case SchemeName::kSpfVmaSeq:
        return 0;
      default:
        return 1;
    }
  }
  /// As Mm::Fault does.
  static FaultOutcome FaultRecorded(FaultTarget& target, const FaultRequest& request) {
    FaultEventScope event(request.addr, static_cast<uint8_t>(request.access));
    const FaultOutcome outcome = FaultFunctionOf(GetParam())(target, request, event);
    event.SetOutcome(outcome);
    return outcome;
  }
};

TEST_P(ContendedFaultTest, AFirstAnonWriteLeavesTheVmaLockAndWaitsForMmapLock) {
  FaultTarget& target = mm_->target();
  mm_->Map(kBase, 8, kPrivateReadWrite);
  // Upper tables, which spf_* leave to others.
  ASSERT_EQ(mm_->Fault(Page(7), kRead), 0u);
  target.options = DefaultsOf(GetParam());
  target.stats.Reset();

  FaultEventRing ring(1);
  FaultOutcome outcome = fault_bit::kOom;
  WriteHolder<RwSem<LockRank::kMmapLock>> holder(target.mmap_lock);
  TestThread fault([&] {
    const FaultRecording recording(&ring);
    outcome = FaultRecorded(target, {.addr = Page(0), .access = kWrite});
  });
  fault.AwaitParked();
  EXPECT_EQ(target.stats.Snapshot().Ended(), 0);
  holder.LetGo();
  fault.Join();

  EXPECT_EQ(outcome, 0u);
  const FaultStatsSnapshot stats = target.stats.Snapshot();
  EXPECT_EQ(LadderBetween({}, stats), Expected());
  EXPECT_EQ(stats.Count(FaultCounter::kVmaLockRetry), ExpectedRetries());
  EXPECT_EQ(stats.Count(FaultCounter::kVmaLockAbort), 0);
  const auto events = ring.Take().records;
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].waited_for, LockRank::kMmapLock);
  EXPECT_EQ(events[0].holder, holder.id());
  EXPECT_TRUE(mm_->EntryAt(Page(0)).writable());
}

TEST_P(ContendedFaultTest, AKilledFaultHasEndedAndSaysThatItNeverGotTheLock) {
  FaultTarget& target = mm_->target();
  mm_->Map(kBase, 8, kPrivateReadWrite);
  target.options = DefaultsOf(GetParam());

  FaultEventRing ring(1);
  FaultOutcome outcome = 0;
  WriteHolder<RwSem<LockRank::kMmapLock>> holder(target.mmap_lock);
  TestThread fault([&] {
    const FaultRecording recording(&ring);
    const FaultRequest request{
        .addr = Page(0), .access = kWrite, .mode = FaultMode::kKernel};  // to mmap_lock at once
    outcome = FaultRecorded(target, request);
    CurrentTask().ClearKill();
  });
  fault.AwaitParked();
  fault.task().Kill();
  fault.Join();

  EXPECT_EQ(outcome, fault_bit::kKilled);
  EXPECT_EQ(target.stats.Snapshot().Ended(), 1);
  EXPECT_EQ(target.stats.Snapshot().Succeeded(FaultRung::kMmapLock), 1);
  const auto events = ring.Take().records;
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].rungs.empty());
  EXPECT_EQ(events[0].reason(FaultRung::kMmapLock), LeaveReason::kKilled);
  EXPECT_EQ(events[0].outcome, fault_bit::kKilled);
  EXPECT_TRUE(mm_->EntryAt(Page(0)).none());
}

INSTANTIATE_TEST_SUITE_P(Schemes, ContendedFaultTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
