// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/sync/rw_sem.h with waiters, native: who blocks whom (B6), what a downgrade admits
// (B7), in which order the queue is served, and what a kill does.

#include "core/sync/rw_sem.h"

#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/guards.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using Sem = RwSem<LockRank::kTestOuter>;

// Each says whether it got the semaphore, which is released again before it returns.
bool TryRead(Sem& sem) {
  if (!sem.TryLockShared()) return false;
  sem.UnlockShared();
  return true;
}
bool TryWrite(Sem& sem) {
  if (!sem.TryLock()) return false;
  sem.Unlock();
  return true;
}
bool ReadKillably(Sem& sem) {
  if (!sem.LockSharedKillable()) return false;
  sem.UnlockShared();
  return true;
}
bool WriteKillably(Sem& sem) {
  if (!sem.LockKillable()) return false;
  sem.Unlock();
  return true;
}

/// What happened, in order.
class Log {
 public:
  void Add(const std::string& event) {
    const std::lock_guard guard(mutex_);
    events_ += event + " ";
  }
  std::string events() {
    const std::lock_guard guard(mutex_);
    return events_;
  }

 private:
  std::mutex mutex_;
  std::string events_;
};

/// All combinations of fairness, hand-off and spinning. What the tests of this suite say is true of
/// each.
class RwSemPolicyTest : public ::testing::TestWithParam<RwSemPolicy> {
 protected:
  Sem sem_{GetParam()};
};

std::string PolicyName(const RwSemPolicy& policy) {
  return std::string(policy.fair ? "Fair" : "Unfair") + (policy.handoff ? "Handoff" : "Wake") +
         "Spin" + std::to_string(policy.spin.iterations);
}

std::vector<RwSemPolicy> AllPolicies() {
  std::vector<RwSemPolicy> policies;
  for (const bool fair : {true, false}) {
    for (const bool handoff : {true, false}) {
      for (const uint32_t spin : {0u, 200u}) {
        policies.push_back({.fair = fair, .handoff = handoff, .spin = {spin}});
      }
    }
  }
  return policies;
}

INSTANTIATE_TEST_SUITE_P(All, RwSemPolicyTest, ::testing::ValuesIn(AllPolicies()),
                         [](const auto& policy) { return PolicyName(policy.param); });

TEST_P(RwSemPolicyTest, WriterWaitsForEveryReader) {
  auto first = std::make_unique<ReadHolder<Sem>>(sem_);
  ReadHolder<Sem> second(sem_);
  TestThread writer([&] { const WriteGuard guard(sem_); });
  writer.AwaitParked();
  first.reset();
  EXPECT_FALSE(TryWrite(sem_));
  writer.AwaitParked();
  second.LetGo();
  writer.Join();
  EXPECT_TRUE(TryWrite(sem_));
}

TEST_P(RwSemPolicyTest, ReadersWaitForTheWriterAndThenShare) {
  auto writer = std::make_unique<WriteHolder<Sem>>(sem_);
  EXPECT_EQ(sem_.owner(), writer->id());
  std::latch all_in(2);
  const auto read = [&] {
    const ReadGuard guard(sem_);
    all_in.arrive_and_wait();  // returns only if both hold it at once
  };
  TestThread first(read);
  TestThread second(read);
  first.AwaitParked();
  second.AwaitParked();
  EXPECT_TRUE(sem_.HasWaiters());
  EXPECT_FALSE(TryRead(sem_));
  writer.reset();
  first.Join();
  second.Join();
  EXPECT_FALSE(sem_.IsHeld());
  EXPECT_FALSE(sem_.HasWaiters());
}

TEST_P(RwSemPolicyTest, KilledReaderGivesUp) {
  WriteHolder<Sem> writer(sem_);
  bool got = true;
  TestThread reader([&] { got = ReadKillably(sem_); });
  reader.AwaitParked();
  reader.task().Kill();
  reader.Join();
  EXPECT_FALSE(got);
  EXPECT_FALSE(sem_.HasWaiters());
  writer.LetGo();
  EXPECT_TRUE(TryWrite(sem_));
}

TEST_P(RwSemPolicyTest, KilledWriterGivesUp) {
  ReadHolder<Sem> reader(sem_);
  bool got = true;
  TestThread writer([&] { got = WriteKillably(sem_); });
  writer.AwaitParked();
  writer.task().Kill();
  writer.Join();
  EXPECT_FALSE(got);
  EXPECT_FALSE(sem_.HasWaiters());
  EXPECT_TRUE(TryRead(sem_));
  reader.LetGo();
  EXPECT_TRUE(TryWrite(sem_));
}

// What NoWaitScope (core/folio) sets.
TEST_P(RwSemPolicyTest, ATaskThatMayNotWaitGivesUpAtOnce) {
  const auto in_scope = [](const auto& take) {
    ++CurrentTask().no_wait;
    const bool got = take();
    --CurrentTask().no_wait;
    return got;
  };
  const auto read = [&] { return in_scope([&] { return ReadKillably(sem_); }); };
  const auto write = [&] { return in_scope([&] { return WriteKillably(sem_); }); };
  {
    WriteHolder<Sem> writer(sem_);
    EXPECT_FALSE(read());
    EXPECT_FALSE(write());
    EXPECT_FALSE(sem_.HasWaiters());
  }
  EXPECT_TRUE(read());
  EXPECT_TRUE(write());
  {
    ReadHolder<Sem> reader(sem_);
    EXPECT_TRUE(read());
    EXPECT_FALSE(write());
    TestThread queued([&] { const WriteGuard guard(sem_); });
    queued.AwaitParked();
    EXPECT_EQ(read(), !GetParam().fair) << "a waiting writer blocks later readers";
    reader.LetGo();
    queued.Join();
  }
  EXPECT_FALSE(sem_.IsHeld());
  EXPECT_FALSE(sem_.HasWaiters());
}

TEST_P(RwSemPolicyTest, KillDoesNotEndUnkillableWaits) {
  WriteHolder<Sem> holder(sem_);
  TestThread reader([&] { const ReadGuard guard(sem_); });
  TestThread writer([&] { const WriteGuard guard(sem_); });
  for (const TestThread* waiter : {&reader, &writer}) {
    waiter->AwaitParked();
    waiter->task().Kill();
    waiter->AwaitParked();
  }
  EXPECT_EQ(sem_.owner(), holder.id());
  holder.LetGo();
}

TEST_P(RwSemPolicyTest, ReadersBehindAKilledWriterGetInBesideTheHolder) {
  ReadHolder<Sem> holder(sem_);
  TestThread writer([&] { EXPECT_FALSE(WriteKillably(sem_)); });
  writer.AwaitParked();
  TestThread reader([&] { const ReadGuard guard(sem_); });
  if (GetParam().fair) reader.AwaitParked();
  writer.task().Kill();
  reader.Join();  // while the first reader still holds
  writer.Join();
  EXPECT_TRUE(sem_.IsHeld());
}

TEST_P(RwSemPolicyTest, DowngradeAdmitsQueuedReadersAndNoWriter) {
  std::latch reader_in(1);
  std::counting_semaphore<> reader_may_go(0);
  TestThread* waiting_writer = nullptr;
  [&]()
      ABSL_NO_THREAD_SAFETY_ANALYSIS {  // Downgrade changes the mode, which the analysis cannot say
        sem_.Lock();
        TestThread reader([&] {
          const ReadGuard guard(sem_);
          reader_in.count_down();
          reader_may_go.acquire();
        });
        reader.AwaitParked();
        TestThread writer([&] { const WriteGuard guard(sem_); });
        waiting_writer = &writer;
        writer.AwaitParked();
        sem_.Downgrade();
        reader_in.wait();
        EXPECT_FALSE(sem_.IsWriteHeld());
        waiting_writer->AwaitParked();
        sem_.UnlockShared();
        EXPECT_FALSE(sem_.IsWriteHeld());  // the reader still holds
        reader_may_go.release();
      }();
  EXPECT_TRUE(TryWrite(sem_));
}

TEST_P(RwSemPolicyTest, DowngradedHoldExcludesWritersAndOtherDowngrades) {
  [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    sem_.Lock();
    sem_.Downgrade();
    EXPECT_FALSE(TryWrite(sem_));  // hence nobody else can come to downgrade, either
    EXPECT_TRUE(TryRead(sem_));
    TestThread writer([&] { const WriteGuard guard(sem_); });
    writer.AwaitParked();
    EXPECT_EQ(TryRead(sem_), !GetParam().fair);
    sem_.UnlockShared();
  }();
}

TEST_P(RwSemPolicyTest, ReleaseToReadersAdmitsThoseBehindAWriterInTheSameBatch) {
  Log log;
  std::latch all_in(3);
  const auto read = [&] {
    const ReadGuard guard(sem_);
    all_in.arrive_and_wait();  // returns only if all three hold it at once
    log.Add("reader");
  };
  auto holder = std::make_unique<WriteHolder<Sem>>(sem_);
  TestThread first(read);
  first.AwaitParked();
  TestThread writer([&] {
    const WriteGuard guard(sem_);
    log.Add("writer");
  });
  writer.AwaitParked();
  TestThread second(read);
  second.AwaitParked();
  TestThread third(read);
  third.AwaitParked();
  holder.reset();
  writer.Join();
  EXPECT_EQ(log.events(), "reader reader reader writer ");
}

TEST_P(RwSemPolicyTest, QueueIsServedInOrderOfArrivalButForThatBatch) {
  Log log;
  const auto read = [&] {
    const ReadGuard guard(sem_);
    log.Add("reader");
  };
  const auto write = [&](const char* name) {
    const WriteGuard guard(sem_);
    log.Add(name);
  };
  auto holder = std::make_unique<WriteHolder<Sem>>(sem_);
  TestThread first_writer([&] { write("writer1"); });
  first_writer.AwaitParked();
  TestThread first_reader(read);
  first_reader.AwaitParked();
  TestThread second_writer([&] { write("writer2"); });
  second_writer.AwaitParked();
  TestThread second_reader(read);
  second_reader.AwaitParked();
  holder.reset();
  second_writer.Join();
  EXPECT_EQ(log.events(), "writer1 reader reader writer2 ");
}

TEST(RwSemFairTest, WaitingWriterBlocksLaterReaders) {
  Sem sem;
  Log log;
  ReadHolder<Sem> holder(sem);
  TestThread writer([&] {
    const WriteGuard guard(sem);
    log.Add("writer");
  });
  writer.AwaitParked();
  EXPECT_FALSE(TryRead(sem));
  TestThread reader([&] {
    const ReadGuard guard(sem);
    log.Add("reader");
  });
  reader.AwaitParked();
  holder.LetGo();
  reader.Join();
  EXPECT_EQ(log.events(), "writer reader ");
}

TEST(RwSemUnfairTest, ReadersPassAWaitingWriter) {
  Sem sem({.fair = false});
  ReadHolder<Sem> holder(sem);
  TestThread writer([&] { const WriteGuard guard(sem); });
  writer.AwaitParked();
  EXPECT_TRUE(TryRead(sem));
  TestThread reader([&] { const ReadGuard guard(sem); });
  reader.Join();
  EXPECT_TRUE(writer.IsParked());
  holder.LetGo();
}

TEST(RwSemTest, DowngradeBehindAQueuedWriterAdmitsNobody) {
  Sem sem;
  [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    sem.Lock();
    TestThread writer([&] { const WriteGuard guard(sem); });
    writer.AwaitParked();
    TestThread reader([&] { const ReadGuard guard(sem); });
    reader.AwaitParked();
    sem.Downgrade();
    EXPECT_TRUE(writer.IsParked());
    EXPECT_TRUE(reader.IsParked());
    sem.UnlockShared();
  }();
}

TEST(RwSemTest, PolicySetBetweenHoldsIsTheOneInForce) {
  Sem sem({.fair = false});
  sem.SetPolicy({.fair = true});
  ReadHolder<Sem> holder(sem);
  TestThread writer([&] { const WriteGuard guard(sem); });
  writer.AwaitParked();
  EXPECT_FALSE(TryRead(sem));
  holder.LetGo();
}

}  // namespace
}  // namespace faultline
