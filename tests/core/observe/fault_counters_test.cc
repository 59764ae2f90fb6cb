// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/observe/fault_counters.h: what is counted, what is derived, and that Linux's four
// keep their meaning.

#include "core/observe/fault_counters.h"

#include <gtest/gtest.h>

#include "tests/core/observe/names.h"

namespace faultline {
namespace {

class FaultStatsTest : public ::testing::Test {
 protected:
  CpuSet cpus_{4};
  FaultStats stats_{cpus_};
};

TEST_F(FaultStatsTest, StartsAtZero) {
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.Ended(), 0);
  for (const auto& row : snapshot.by_reason) {
    for (const int64_t count : row) EXPECT_EQ(count, 0);
  }
  for (const int64_t count : snapshot.counters) EXPECT_EQ(count, 0);
}

TEST_F(FaultStatsTest, EnteredIsDerivedFromEndsAndLeaves) {
  for (int i = 0; i < 3; ++i) stats_.Succeeded(FaultRung::kValidated, FaultKind::kAnon);
  stats_.Left(FaultRung::kValidated, LeaveReason::kChanged);
  stats_.Left(FaultRung::kValidated, LeaveReason::kChanged);
  stats_.Left(FaultRung::kValidated, LeaveReason::kNoTable);
  stats_.Succeeded(FaultRung::kMmapLock, FaultKind::kAnon);
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.Succeeded(FaultRung::kValidated), 3);
  EXPECT_EQ(snapshot.Left(FaultRung::kValidated, LeaveReason::kChanged), 2);
  EXPECT_EQ(snapshot.Left(FaultRung::kValidated, LeaveReason::kNoTable), 1);
  EXPECT_EQ(snapshot.Left(FaultRung::kValidated), 3);
  EXPECT_EQ(snapshot.Entered(FaultRung::kValidated), 6);
  EXPECT_EQ(snapshot.Entered(FaultRung::kVmaLock), 0);
  EXPECT_EQ(snapshot.Ended(), 4);
}

TEST_F(FaultStatsTest, FaultOfKernelModeDidNotTryTheRung) {
  stats_.Left(FaultRung::kVmaLock, LeaveReason::kKernelMode);
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.Left(FaultRung::kVmaLock), 1);
  EXPECT_EQ(snapshot.Entered(FaultRung::kVmaLock), 0);
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockAbort), 0);
}

TEST_F(FaultStatsTest, AttemptsAtTheVmaLockEndInSuccessAbortOrRetry) {
  stats_.Succeeded(FaultRung::kVmaLock, FaultKind::kAnon);
  stats_.Succeeded(FaultRung::kVmaLock, FaultKind::kAnon);
  stats_.VmaLockAborted(LeaveReason::kWriteLocked);
  stats_.VmaLockRetried(LeaveReason::kNoAnonVma);
  stats_.Count(FaultCounter::kVmaLockMiss);
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.vma_lock_success(), 2);  // a lock that was had and not kept is none
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockAbort), 1);
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockRetry), 1);
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockMiss), 1);
  EXPECT_EQ(snapshot.Entered(FaultRung::kVmaLock), 4);  // a miss is looked up again: no end
  EXPECT_EQ(snapshot.Left(FaultRung::kVmaLock, LeaveReason::kWriteLocked), 1);
  EXPECT_EQ(snapshot.Left(FaultRung::kVmaLock, LeaveReason::kNoAnonVma), 1);
}

TEST_F(FaultStatsTest, EveryRungWithAReasonOrKindIsACountOfItsOwn) {
  int64_t amount = 0;
  for (size_t rung = 0; rung < FaultStatsSnapshot::kRungs; ++rung) {
    for (size_t reason = 1; reason < FaultStatsSnapshot::kReasons; ++reason) {
      stats_.Left(static_cast<FaultRung>(rung), static_cast<LeaveReason>(reason), ++amount);
    }
    for (size_t kind = 0; kind < FaultStatsSnapshot::kKinds; ++kind) {
      ++amount;
      for (int64_t i = 0; i < amount; ++i) {
        stats_.Succeeded(static_cast<FaultRung>(rung), static_cast<FaultKind>(kind));
      }
    }
  }
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  amount = 0;
  for (size_t rung = 0; rung < FaultStatsSnapshot::kRungs; ++rung) {
    for (size_t reason = 1; reason < FaultStatsSnapshot::kReasons; ++reason) {
      EXPECT_EQ(snapshot.by_reason[rung][reason], ++amount);
    }
    int64_t ended = 0;
    for (const int64_t count : snapshot.by_kind[rung]) {
      EXPECT_EQ(count, ++amount);
      ended += count;
    }
    EXPECT_EQ(snapshot.Succeeded(static_cast<FaultRung>(rung)), ended);
  }
}

TEST_F(FaultStatsTest, KindsAddUpToWhatEnded) {
  stats_.Succeeded(FaultRung::kValidated, FaultKind::kAnon);
  stats_.Succeeded(FaultRung::kMmapLock, FaultKind::kAnon);
  stats_.Succeeded(FaultRung::kMmapLock, FaultKind::kError);
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.Ended(FaultKind::kAnon), 2);
  EXPECT_EQ(snapshot.Ended(FaultKind::kError), 1);
  EXPECT_EQ(snapshot.Ended(FaultKind::kSpurious), 0);
  EXPECT_EQ(snapshot.Ended(), 3);
}

TEST_F(FaultStatsTest, CountTakesAnAmount) {
  stats_.Count(FaultCounter::kTablesAllocated, 4);
  stats_.Count(FaultCounter::kTablesUnused, 3);
  stats_.Count(FaultCounter::kTablesAllocated);
  EXPECT_EQ(stats_.Snapshot().Count(FaultCounter::kTablesAllocated), 5);
  EXPECT_EQ(stats_.Snapshot().Count(FaultCounter::kTablesUnused), 3);
}

TEST_F(FaultStatsTest, ResetStartsAtZero) {
  stats_.Succeeded(FaultRung::kMmapLock, FaultKind::kAnon);
  stats_.VmaLockAborted(LeaveReason::kContended);
  const FaultStatsSnapshot before = stats_.Snapshot();
  EXPECT_TRUE(stats_.Reset() == before);
  EXPECT_TRUE(stats_.Totals() == before);
  EXPECT_TRUE(stats_.Reset() == FaultStatsSnapshot());
  const FaultStatsSnapshot snapshot = stats_.Snapshot();
  EXPECT_EQ(snapshot.Ended(), 0);
  EXPECT_EQ(snapshot.Entered(FaultRung::kVmaLock), 0);
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockAbort), 0);
}

TEST(FaultVocabularyTest, NamesAreDistinctSnakeCase) {
  ExpectSnakeCaseNames<FaultCounter>();
  ExpectSnakeCaseNames<FaultKind>();
  ExpectSnakeCaseNames<FaultRung>();
  ExpectSnakeCaseNames<LeaveReason>();
}

}  // namespace
}  // namespace faultline
