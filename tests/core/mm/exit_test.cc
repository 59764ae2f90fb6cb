// SPDX-License-Identifier: Apache-2.0
//
// The life of an mm: users, exit, killable waits, teardown by the last user. Native: waits are real
// threads.

#include "tests/core/mm/mm_fixture.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using ExitTest = MmTest;

TEST_F(ExitTest, RefusesNewUsers) {
  ASSERT_TRUE(mm().AddUser());
  mm().DropUser();
  mm().Exit();
  EXPECT_FALSE(mm().AddUser());
}

TEST_F(ExitTest, TheCountKeepsTheShellOnly) {
  Map(0, 4);
  Fill(0, 4, 1);
  Mm& other = *machine().CreateMm().value();
  MapIn(other, 0, 4);
  FillIn(other, 0, 4, 1);
  other.Get();
  const uint64_t free = machine().frames().free_frames();
  other.DropUser();
  Rcu::Barrier();
  EXPECT_GE(machine().frames().free_frames(), free + 4);  // pages, and tables but the root
  EXPECT_FALSE(other.AddUser());
  other.Put();
}

TEST_F(ExitTest, TheLastUserTearsDown) {
  Mm& other = *machine().CreateMm().value();
  MapIn(other, 0, 4);
  FillIn(other, 0, 4, 7);
  ASSERT_TRUE(other.AddUser());
  other.Exit();
  other.DropUser();
  EXPECT_EQ(WordAt(other, At(3)), 10u) << "one user is left";
  other.DropUser();
}

TEST_F(ExitTest, AKilledTaskGetsEintrBeforeAnythingIsDone) {
  Map(0, 4);
  std::string result;
  std::string access;
  TestThread thread([&] {
    Task& task = CurrentTask();
    mm().AttachTask(task);
    mm().Exit();
    result = Why(mm().Munmap(At(0), Pages(4)));
    uint64_t word = 0;
    access = Why(mm().Read(At(0), word));
    mm().DetachTask(task);
    task.ClearKill();
  });
  thread.Join();
  // A killed task need not wait, and what it gets without waiting it may have.
  EXPECT_TRUE(result == "EINTR" || result == "ok") << result;
  EXPECT_EQ(MapsOf(mm()), result == "ok" ? "" : "0-4 rw-p");
  EXPECT_TRUE(access == "signal 9" || access == "ok" || access == "SEGV_MAPERR") << access;
}

TEST_F(ExitTest, KillsTasksThatAreAttachedLater) {
  mm().Exit();
  TestThread thread([&] {
    Task& task = CurrentTask();
    mm().AttachTask(task);
    EXPECT_TRUE(task.killed());
    mm().DetachTask(task);
    task.ClearKill();
  });
}

TEST_F(ExitTest, LeavesTasksOfOthersAlone) {
  Mm& other = world().NewMm();
  TestThread thread([&] {
    Task& task = CurrentTask();
    other.AttachTask(task);
    mm().Exit();
    EXPECT_FALSE(task.killed());
    other.DetachTask(task);
  });
}

TEST_F(ExitTest, EndsAWaitForMmapLock) {
  Map(0, 4);
  std::string result;
  std::latch attached(1);
  // ForEachVma holds mmap_lock for read while it visits.
  std::unique_ptr<TestThread> waiter;
  mm().ForEachVma([&](const MapsLine&) {
    waiter = std::make_unique<TestThread>([&] {
      Task& task = CurrentTask();
      mm().AttachTask(task);
      attached.count_down();
      result = Why(mm().Munmap(At(0), Pages(4)));
      mm().DetachTask(task);
      task.ClearKill();
    });
    attached.wait();
    waiter->AwaitParked();
    mm().Exit();
    waiter->Join();
  });
  EXPECT_EQ(result, "EINTR");
  EXPECT_EQ(MapsOf(mm()), "0-4 rw-p");
}

}  // namespace
}  // namespace faultline
