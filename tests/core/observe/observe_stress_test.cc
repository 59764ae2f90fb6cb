// SPDX-License-Identifier: Apache-2.0
//
// Readers of an EventRing beside its writer, native: no record that they get is torn, none comes
// twice or out of order, and what they did not get is counted. Rings are small, so that the writer
// runs over the readers all the time.

#include <array>
#include <atomic>
#include <cstdint>

#include <gtest/gtest.h>

#include "core/observe/fault_counters.h"
#include "core/sync/event_ring.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

/// Every word tells the record's number.
struct Record {
  std::array<uint64_t, 6> words{};
  static Record Number(uint64_t number) {
    Record record;
    for (uint64_t i = 0; i < record.words.size(); ++i) record.words[i] = number * 8 + i;
    return record;
  }
  [[nodiscard]] uint64_t number() const { return words[0] / 8; }
  bool operator==(const Record&) const = default;
};

class EventRingStressTest : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Capacity, EventRingStressTest, ::testing::Values(1, 2, 8, 64));

TEST_P(EventRingStressTest, SnapshotBesideAWriterIsNeverTorn) {
  const int rounds = StressRounds(300'000);
  EventRing<Record> ring(GetParam());
  std::atomic<bool> done{false};
  std::atomic<uint64_t> seen{0};
  RunTogether(3, [&](int task) {
    if (task == 0) {
      for (int i = 0; i < rounds; ++i) ring.Write(Record::Number(static_cast<uint64_t>(i)));
      done = true;
      return;
    }
    bool last = false;
    while (!last) {
      last = done;
      const uint64_t before = ring.written();
      const auto snapshot = ring.Take();
      uint64_t next = 0;
      for (const Record& record : snapshot.records) {
        ASSERT_EQ(record, Record::Number(record.number())) << "torn";
        ASSERT_GE(record.number(), next) << "out of order";
        next = record.number() + 1;
      }
      const uint64_t covered = snapshot.records.size() + snapshot.lost;
      ASSERT_GE(covered, before);
      ASSERT_LE(next, covered);
      seen += snapshot.records.size();
    }
  });
  EXPECT_EQ(ring.Take().records.size(), ring.capacity());
  EXPECT_EQ(ring.Take().lost, static_cast<uint64_t>(rounds) - ring.capacity());
  EXPECT_GT(seen, 0u);
}

TEST(FaultStatsStressTest, NoCountIsLostWhereTasksShareACpu) {
  constexpr int kThreads = 4;
  const int rounds = StressRounds(100'000);
  CpuSet cpus(2);
  FaultStats stats(cpus);
  RunTogether(kThreads, [&](int) {
    for (int i = 0; i < rounds; ++i) {
      stats.Succeeded(FaultRung::kVmaLock, FaultKind::kAnon);
      if (i % 4 == 0) stats.VmaLockAborted(LeaveReason::kContended);
    }
  });
  const FaultStatsSnapshot snapshot = stats.Snapshot();
  const int64_t aborts = int64_t{kThreads} * ((rounds + 3) / 4);
  EXPECT_EQ(snapshot.vma_lock_success(), int64_t{kThreads} * rounds);
  EXPECT_EQ(snapshot.Count(FaultCounter::kVmaLockAbort), aborts);
  EXPECT_EQ(snapshot.Entered(FaultRung::kVmaLock), int64_t{kThreads} * rounds + aborts);
}

TEST(FaultStatsStressTest, CountBesideResetsFallsOnOneSideOfThem) {
  const int rounds = StressRounds(300'000);
  CpuSet cpus(64);
  FaultStats stats(cpus);
  std::atomic<bool> done{false};
  int64_t taken = 0;
  RunTogether(2, [&](int task) {
    if (task == 0) {
      for (int i = 0; i < rounds; ++i) stats.Succeeded(FaultRung::kMmapLock, FaultKind::kAnon);
      done = true;
      return;
    }
    while (!done) {
      ASSERT_GE(stats.Snapshot().Ended(), 0);
      taken += stats.Reset().Ended();
    }
  });
  taken += stats.Reset().Ended();
  EXPECT_EQ(taken, rounds);
  EXPECT_EQ(stats.Snapshot().Ended(), 0);
  stats.Succeeded(FaultRung::kMmapLock, FaultKind::kAnon);
  EXPECT_EQ(stats.Snapshot().Ended(), 1);
}

}  // namespace
}  // namespace faultline
