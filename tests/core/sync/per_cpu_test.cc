// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/per_cpu.h with more tasks than CPUs, native: being on a CPU is exclusive, so
// plain per-CPU data needs no lock (ThreadSanitizer checks that), and per-task data is apart.

#include "core/sync/per_cpu.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

class PreemptOffCpusTest : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Some, PreemptOffCpusTest, ::testing::Values(1u, 2u, 3u, 8u));

TEST_P(PreemptOffCpusTest, OneTaskAtATimeIsOnACpu) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 20'000;
  CpuSet cpus(GetParam());
  struct Plain {
    uint64_t count = 0;
    bool busy = false;
  };
  PerCpu<Plain> data(cpus);
  std::atomic<uint64_t> clashes{0};
  RunTogether(kThreads, [&](int) {
    for (uint64_t i = 0; i < kRounds; ++i) {
      const PreemptOff preempt_off(cpus);
      Plain& here = data.Local(preempt_off);
      if (here.busy) ++clashes;
      here.busy = true;
      ++here.count;
      here.busy = false;
    }
  });
  EXPECT_EQ(clashes, 0u);
  uint64_t sum = 0;
  for (uint32_t cpu = 0; cpu < data.size(); ++cpu) sum += data.Of(cpu).count;
  EXPECT_EQ(sum, kThreads * kRounds);
}

TEST(PreemptOffTest, TakesAFreeCpuWhenItsOwnIsTaken) {
  CpuSet cpus(2);
  std::latch entered(1);
  std::counting_semaphore<> leave(0);
  uint32_t other_cpu = 0;
  TestThread other([&] {
    const PreemptOff preempt_off(cpus);
    other_cpu = preempt_off.cpu();
    entered.count_down();
    leave.acquire();
  });
  entered.wait();
  for (int i = 0; i < 3; ++i) {
    const PreemptOff preempt_off(cpus);
    EXPECT_NE(preempt_off.cpu(), other_cpu);
  }
  leave.release();
}

TEST(PerCpuTest, CpusHaveCacheLinesOfTheirOwn) {
  const CpuSet cpus(2);
  PerCpu<char> data(cpus);
  const auto distance = &data.Of(1) - &data.Of(0);
  EXPECT_GE(distance, static_cast<ptrdiff_t>(kCacheLine));
}

TEST(PerTaskTest, TasksCountApartAndAddUp) {
  constexpr int kThreads = 8;
  constexpr uint64_t kRounds = 10'000;
  PerTask<uint64_t> counts;
  std::latch all_attached(kThreads);
  RunTogether(kThreads, [&](int) {
    all_attached.arrive_and_wait();
    for (uint64_t i = 0; i < kRounds; ++i) ++counts.Local();
  });
  uint64_t sum = 0;
  uint64_t most = 0;
  counts.ForEach([&](uint64_t count) {
    sum += count;
    most = std::max(most, count);
  });
  EXPECT_EQ(sum, kThreads * kRounds);
  EXPECT_GE(most, kRounds);
}

TEST(PerTaskTest, LaterTaskOfTheSameIdInherits) {
  PerTask<int> data;
  uint32_t first_id = 0;
  {
    TestThread thread([&] {
      first_id = CurrentTask().id();
      data.Local() = 5;
    });
  }
  int inherited = 0;
  TestThread thread([&] { inherited = data.Local(); });
  thread.Join();
  ASSERT_EQ(thread.id(), first_id);
  EXPECT_EQ(inherited, 5);
}

}  // namespace
}  // namespace faultline
