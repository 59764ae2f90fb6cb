// SPDX-License-Identifier: Apache-2.0
//
// Attach through a socket: a stream is a thread. Its operations do what the core's calls do, its
// batches are answered in order, and however it ends, nothing of it stays: not the thread, not a
// lock, not the mm that was made for it.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "core/mm/mm_lock.h"
#include "proto/columns/batch_builder.h"
#include "proto/columns/results_reader.h"
#include "server/names.h"
#include "tests/server/testing/refusals.h"
#include "tests/server/testing/served.h"

namespace faultline::server::testing {
namespace {

using columns::BatchBuilder;
using columns::Outcome;
using columns::ResultsReader;

constexpr columns::MmapArguments kAnonymous = {.prot = abi::kProtRead | abi::kProtWrite,
                                               .flags = abi::kMapPrivate | abi::kMapAnonymous};
constexpr uint64_t kNsPerMs = 1'000'000;

v1::AttachOpen ToNewMm() {
  v1::AttachOpen open;
  open.set_machine("machines/default");
  return open;
}

v1::AttachOpen To(const std::string& mm) {
  v1::AttachOpen open;
  open.set_mm(mm);
  return open;
}

v1::AttachOpen InGroup(v1::AttachOpen open, uint64_t number) {
  open.set_progress_group("g");
  open.set_progress_number(number);
  return open;
}

/// machines/M/mms/I of machines/M/mms/I/threads/T.
std::string MmOf(const Attached& thread) {
  const std::string& name = thread.opened()->thread();
  return name.substr(0, name.find("/threads/"));
}

/// A batch that is being built.
struct Batch {
  explicit Batch(uint64_t id = 1) { build.Start(id); }
  v1::OperationBatch message;
  BatchBuilder build{message};
};

class AttachTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(Eventually([&] { return served_.registry().thread_count() == 0; }));
  }
  /// Waits until no mm is left.
  void AwaitEmpty() {
    EXPECT_TRUE(Eventually([&] { return served_.IsEmpty(); }));
  }
  uint64_t FreeFrames() {
    served_.default_machine().machine().Validate();  // waits for what RCU frees
    return served_.default_machine().machine().frames().free_frames();
  }

  Served served_;
};

TEST_F(AttachTest, OpensAThreadAndEndsItWhenTheClientCloses) {
  v1::AttachOpen open = ToNewMm();
  open.set_thread_id("mine");
  Attached thread(served_.memory(), open);
  ASSERT_TRUE(thread.opened());
  EXPECT_EQ(thread.opened()->thread(), MmOf(thread) + "/threads/mine");
  EXPECT_GT(thread.opened()->task(), 0U);
  EXPECT_EQ(thread.opened()->max_batch_operations(), Limits().max_batch_operations);
  EXPECT_EQ(thread.opened()->max_batches_in_flight(), Limits().max_batches_in_flight);
  v1::GetMmRequest get;
  get.set_name(MmOf(thread));
  const v1::Mm mm = served_.Call(&MemoryStub::GetMm, get).response.mm();
  EXPECT_EQ(mm.thread_count(), 1U);
  EXPECT_TRUE(mm.exits_with_threads());
  EXPECT_THAT(thread.End(), IsOk());
  EXPECT_EQ(served_.registry().thread_count(), 0U) << "when the client knows, it is so";
  AwaitEmpty();
}

// A batch that the transport began goes on in the executor: nothing is lost, nothing done twice.
TEST_F(AttachTest, ARangeThatTheTransportHasNoTimeForIsTouchedOnceLikeAShorterOne) {
  constexpr uint64_t kAtOnce = 64;  // pages
  const std::string mm = served_.MakeMm();
  const MmUse use = served_.Use(mm);
  Attached thread(served_.memory(), To(mm));
  ASSERT_TRUE(thread.opened());
  uint64_t faults = 0;
  for (const uint64_t pages : {kAtOnce, kAtOnce + 1, 8 * kAtOnce, uint64_t{1}}) {
    const uint64_t where = served_.MapPages(mm, pages + 2);
    Batch batch;
    batch.build.Fault(v1::ACCESS_KIND_WRITE, {where});
    batch.build.TouchRange(v1::ACCESS_KIND_WRITE, {where + kPageSize}, pages * kPageSize);
    batch.build.Fault(v1::ACCESS_KIND_WRITE, {where + (pages + 1) * kPageSize});
    const v1::OperationResults results = thread.Run(batch.message);
    EXPECT_EQ(results.completed(), 3U);
    const ResultsReader reader(results);
    EXPECT_EQ(reader.value(1), pages);
    for (uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(reader.outcome(i).ok()) << i;
    faults += pages + 2;
    EXPECT_EQ(use.mm().fault_stats().Snapshot().Ended(), static_cast<int64_t>(faults)) << pages;
  }
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, EveryKindOfOperationIsCarriedOut) {
  Attached thread(served_.memory(), ToNewMm());
  ASSERT_TRUE(thread.opened());
  Batch batch;
  BatchBuilder& b = batch.build;
  const uint32_t map = b.Mmap({0}, 8 * kPageSize, kAnonymous);
  const auto at = [&](uint64_t page) { return BatchBuilder::Relative(map, page * kPageSize); };
  b.Fault(v1::ACCESS_KIND_READ, at(0));
  b.Fault(v1::ACCESS_KIND_WRITE, at(1));
  const uint32_t exec = b.Fault(v1::ACCESS_KIND_EXEC, at(1));
  b.FaultFromKernel(v1::ACCESS_KIND_READ, at(2));
  b.FaultFromKernel(v1::ACCESS_KIND_WRITE, at(2));
  b.Touch(v1::ACCESS_KIND_READ, at(3));
  b.Touch(v1::ACCESS_KIND_WRITE, at(3));
  const uint32_t touch_exec = b.Touch(v1::ACCESS_KIND_EXEC, at(3));
  b.Store(at(4), 42);
  const uint32_t load = b.Load(at(4));
  const uint32_t range = b.TouchRange(v1::ACCESS_KIND_READ, at(0), 8 * kPageSize);
  const uint32_t beyond = b.TouchRange(v1::ACCESS_KIND_WRITE, at(6), 4 * kPageSize);
  b.Mprotect(at(0), kPageSize, abi::kProtRead);
  const uint32_t remap = b.Mremap(at(7), kPageSize, 2 * kPageSize, abi::kMremapMayMove, 0);
  b.Madvise(at(1), kPageSize, abi::kMadvDontNeed);
  b.Mlock(at(2), kPageSize, 0);
  b.Munlock(at(2), kPageSize);
  b.Mlockall(abi::kMclCurrent);
  b.Munlockall();
  const uint32_t brk = b.Brk({0});
  const uint32_t fork = b.Fork();
  b.WaitClock(1);
  b.Pause(1);
  const uint32_t alone = b.WaitProgress(1, 1, 1);
  b.Munmap(at(0), 6 * kPageSize);
  const uint32_t seal = b.Mseal(BatchBuilder::Relative(remap, 0), kPageSize, 0);
  const uint32_t sealed = b.Munmap(BatchBuilder::Relative(remap, 0), kPageSize);
  const v1::OperationResults results = thread.Run(batch.message);
  const ResultsReader read(results);
  ASSERT_EQ(read.completed(), b.operations());
  EXPECT_EQ(columns::WhyMalformed(results, batch.message), std::nullopt);
  for (uint32_t i = 0; i < read.completed(); ++i) {
    Outcome expected;
    if (i == exec || i == touch_exec) expected = Outcome::Access(11, 2);
    if (i == beyond) expected = Outcome::Access(11, 1);
    if (i == alone) expected = Outcome::Error(v1::ERRNO_EINVAL);
    if (i == sealed) expected = Outcome::Error(v1::ERRNO_EPERM);
    EXPECT_EQ(read.outcome(i).packed(), expected.packed()) << "operation " << i;
  }
  EXPECT_EQ(read.value(load), 42U);
  EXPECT_EQ(read.value(range), 8U);
  EXPECT_EQ(read.value(beyond), 2U);
  EXPECT_EQ(read.value(brk), MmOptions().start_brk.value());
  EXPECT_EQ(read.outcome(seal), Outcome());
  const std::string child = MmName("default", read.value(fork));
  EXPECT_EQ(served_.Use(child).entry().options().parent_number,
            served_.Use(MmOf(thread)).entry().options().number);
  EXPECT_GT(results.begin_ns(), 0U);
  EXPECT_GT(results.elapsed_ns(), 0U);
  EXPECT_THAT(thread.End(), IsOk());
  AwaitEmpty();  // the copy, too
}

TEST_F(AttachTest, FilesAreMappedByTheirNumberAndOthersAreBadDescriptors) {
  auto file = served_.default_machine().CreateFile("/f", 4 * kPageSize);
  ASSERT_TRUE(file.ok());
  Attached thread(served_.memory(), ToNewMm());
  Batch batch;
  columns::MmapArguments arguments{.prot = abi::kProtRead, .flags = abi::kMapShared};
  const uint32_t none = batch.build.Mmap({0}, kPageSize, arguments);
  arguments.file = file->number;
  arguments.offset = kPageSize;
  arguments.read_only_file = true;
  arguments.open_file = 3;
  const uint32_t map = batch.build.Mmap({0}, kPageSize, arguments);
  arguments.prot |= abi::kProtWrite;
  const uint32_t refused = batch.build.Mmap({0}, kPageSize, arguments);
  batch.build.Touch(v1::ACCESS_KIND_READ, BatchBuilder::Relative(map, 0));
  const v1::OperationResults results = thread.Run(batch.message);
  const ResultsReader read(results);
  EXPECT_EQ(read.outcome(none).error(), v1::ERRNO_EBADF);
  EXPECT_TRUE(read.outcome(map).ok());
  EXPECT_EQ(read.outcome(refused).error(), v1::ERRNO_EACCES);
  EXPECT_TRUE(read.outcome(3).ok());
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, WhatIsRelativeToAFailureIsSkippedWithItsArguments) {
  Attached thread(served_.memory(), ToNewMm());
  Batch batch;
  const uint32_t map = batch.build.Mmap({0}, 0, kAnonymous);  // EINVAL
  const uint32_t store = batch.build.Store(BatchBuilder::Relative(map, 0), 1);
  const uint32_t again = batch.build.Mmap({0}, kPageSize, kAnonymous);
  batch.build.Store(BatchBuilder::Relative(again, 8), 2);
  const uint32_t load = batch.build.Load(BatchBuilder::Relative(again, 8));
  const uint32_t chained = batch.build.Load(BatchBuilder::Relative(load, UINT64_MAX));
  const v1::OperationResults results = thread.Run(batch.message);
  const ResultsReader read(results);
  EXPECT_EQ(read.outcome(map).error(), v1::ERRNO_EINVAL);
  EXPECT_TRUE(read.outcome(store).skipped());
  EXPECT_EQ(read.value(load), 2U);
  EXPECT_EQ(read.outcome(chained).signal(), 11U) << "2 - 1 is no address";
  EXPECT_EQ(results.end(), v1::BATCH_END_UNSPECIFIED);
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, StopsAtTheFirstFailureIfItIsTo) {
  Attached thread(served_.memory(), ToNewMm());
  // Both ways through the executor: faults of one kind, and anything.
  for (const bool faults : {true, false}) {
    Batch batch;
    if (!faults) batch.build.Brk({0});
    const uint32_t first = batch.build.Fault(v1::ACCESS_KIND_READ, {kPageSize});
    batch.build.Fault(v1::ACCESS_KIND_READ, {2 * kPageSize});
    v1::OperationResults all = thread.Run(batch.message);
    EXPECT_EQ(all.completed(), batch.build.operations());
    EXPECT_EQ(all.end(), v1::BATCH_END_UNSPECIFIED);
    batch.message.set_stop_at_failure(true);
    v1::OperationResults some = thread.Run(batch.message);
    EXPECT_EQ(some.completed(), first + 1);
    EXPECT_EQ(some.end(), v1::BATCH_END_FAILURE);
    EXPECT_EQ(columns::WhyMalformed(some, batch.message), std::nullopt);
    EXPECT_EQ(ResultsReader(some).outcome(first).signal(), 11U);
  }
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, LatenciesAndRungsComeIfTheyAreAskedFor) {
  v1::AttachOpen open = ToNewMm();
  open.mutable_new_mm()->mutable_options()->mutable_fault()->set_scheme(v1::SCHEME_VMA_LOCK);
  Attached thread(served_.memory(), open);
  Batch batch;
  const uint32_t map = batch.build.Mmap({0}, 4 * kPageSize, kAnonymous);
  const uint32_t fault =
      batch.build.FaultFromKernel(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, 0));
  const uint32_t present = batch.build.Touch(v1::ACCESS_KIND_READ, BatchBuilder::Relative(map, 0));
  const v1::OperationResults plain = thread.Run(batch.message);
  EXPECT_EQ(plain.latencies_ns_size(), 0);
  EXPECT_EQ(plain.rungs_size(), 0);
  batch.message.set_with_latencies(true);
  batch.message.set_with_rungs(true);
  const v1::OperationResults results = thread.Run(batch.message);
  const ResultsReader read(results);
  EXPECT_EQ(columns::WhyMalformed(results, batch.message), std::nullopt);
  EXPECT_GT(read.latency_ns(map), 0U);
  EXPECT_FALSE(read.rungs(map).any());
  EXPECT_TRUE(read.rungs(fault).was_on(v1::FAULT_RUNG_MMAP_LOCK));
  EXPECT_FALSE(read.rungs(fault).was_on(v1::FAULT_RUNG_VMA_LOCK));
  EXPECT_EQ(read.rungs(fault).left_for(v1::FAULT_RUNG_VMA_LOCK), v1::LEAVE_REASON_KERNEL_MODE);
  EXPECT_FALSE(read.rungs(present).any()) << "its page was there";
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, ItsLastFaultsAreKeptInARing) {
  v1::AttachOpen open = ToNewMm();
  open.set_event_ring(4);
  Attached thread(served_.memory(), open);
  Batch batch;
  const uint32_t map = batch.build.Mmap({0}, 8 * kPageSize, kAnonymous);
  for (uint64_t page = 0; page < 8; ++page) {
    batch.build.Fault(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, page * kPageSize));
  }
  for (const bool rungs : {false, true}) {
    batch.message.set_with_rungs(rungs);
    const v1::OperationResults results = thread.Run(batch.message);
    EXPECT_TRUE(ResultsReader(results).all_ok());
    const auto threads = served_.Use(MmOf(thread)).entry().Threads();
    ASSERT_EQ(threads.size(), 1U);
    EXPECT_EQ(threads[0].task, thread.opened()->task());
    EXPECT_EQ(threads[0].events->written(), rungs ? 16U : 8U);
    EXPECT_EQ(threads[0].events->Last()->address.value(), results.values(0) + 7 * kPageSize);
  }
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, BatchesInFlightAreAnsweredInTheirOrder) {
  constexpr uint64_t kBatches = 40;  // ten times what the server takes in
  Attached thread(served_.memory(), ToNewMm());
  std::thread sender([&] {
    for (uint64_t id = 1; id <= kBatches; ++id) {
      Batch batch(id);
      batch.build.Mmap({0}, kPageSize, kAnonymous);
      batch.build.Pause(id % 3);
      EXPECT_TRUE(thread.Send(batch.message));
    }
    thread.CloseSending();
  });
  for (uint64_t id = 1; id <= kBatches; ++id) {
    const auto response = thread.Receive();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->results().batch_id(), id);
    EXPECT_EQ(response->results().completed(), 2U);
    EXPECT_EQ(response->instance_epoch(), served_.registry().epoch().value());
  }
  sender.join();
  EXPECT_EQ(thread.Receive(), std::nullopt);
  EXPECT_THAT(thread.Finish(), IsOk());
}

TEST_F(AttachTest, WithOneSlotAStreamStillGoesOn) {
  Served served(Limits{.max_batches_in_flight = 1});
  Attached thread(served.memory(), ToNewMm());
  ASSERT_TRUE(thread.opened());
  Batch batch;
  batch.build.Brk({0});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(thread.Send(batch.message));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(thread.Receive().has_value());
  EXPECT_THAT(thread.End(), IsOk());
}

TEST_F(AttachTest, ABadBatchEndsTheStreamBehindTheResultsBeforeItAndIsNotBegun) {
  const std::string mm = served_.MakeMm();
  Attached thread(served_.memory(), To(mm));
  Batch good(7);
  good.build.Mmap({0}, kPageSize, kAnonymous);
  Batch bad(8);
  bad.build.Mmap({0}, kPageSize, kAnonymous);
  bad.build.Brk({0});
  bad.message.set_kinds(1, static_cast<v1::OperationKind>(49));
  EXPECT_TRUE(thread.Send(good.message));
  EXPECT_TRUE(thread.Send(bad.message));
  (void)thread.Send(good.message);  // behind it: not carried out either
  const auto response = thread.Receive();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->results().batch_id(), 7U);
  EXPECT_EQ(thread.Receive(), std::nullopt);
  EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_UNKNOWN_ENUM_VALUE, "batch.kinds[1]"));
  EXPECT_EQ(served_.Use(mm).mm().map_count(), 1U);
  EXPECT_EQ(served_.registry().thread_count(), 0U);
}

TEST_F(AttachTest, CancellationEndsAWaitAndLeavesNothing) {
  const uint64_t frames = FreeFrames();
  for (const v1::OperationKind kind : {v1::OPERATION_KIND_PAUSE, v1::OPERATION_KIND_WAIT_CLOCK,
                                       v1::OPERATION_KIND_WAIT_PROGRESS}) {
    Attached thread(served_.memory(), InGroup(ToNewMm(), 1));
    ASSERT_TRUE(thread.opened());
    const std::string mm = MmOf(thread);
    Batch batch;
    const uint32_t map = batch.build.Mmap({0}, 16 * kPageSize, kAnonymous);
    batch.build.TouchRange(v1::ACCESS_KIND_WRITE, BatchBuilder::Relative(map, 0), 16 * kPageSize);
    if (kind == v1::OPERATION_KIND_PAUSE) batch.build.Pause(UINT64_MAX);
    if (kind == v1::OPERATION_KIND_WAIT_CLOCK) batch.build.WaitClock(UINT64_MAX);
    if (kind == v1::OPERATION_KIND_WAIT_PROGRESS) batch.build.WaitProgress(2, 1, 0);
    thread.Send(batch.message);
    EXPECT_TRUE(Eventually([&] { return served_.Use(mm).mm().map_count() == 1; }));
    thread.Cancel();
    EXPECT_EQ(thread.Finish().error_code(), grpc::StatusCode::CANCELLED);
    AwaitEmpty();
  }
  EXPECT_EQ(FreeFrames(), frames);
}

TEST_F(AttachTest, CancellationEndsAWaitForALockAndTheLockIsFreeAfterwards) {
  const std::string mm = served_.MakeMm();
  Attached thread(served_.memory(), To(mm));
  ASSERT_TRUE(thread.opened());
  Batch batch;
  for (int i = 0; i < 100; ++i) batch.build.Mmap({0}, kPageSize, kAnonymous);
  {
    const MmUse use = served_.Use(mm);
    const MmWriter writer(use.mm());
    thread.Send(batch.message);
    thread.Cancel();
    EXPECT_EQ(thread.Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(Eventually([&] { return served_.registry().thread_count() == 0; }))
        << "though the lock is held";
  }
  const MmUse use = served_.Use(mm);
  const MmWriter writer(use.mm());
  EXPECT_TRUE(writer.held());
  EXPECT_EQ(use.mm().map_count(), 0U);
}

TEST_F(AttachTest, TheDeadlineOfTheStreamIsAKillToo) {
  Attached thread(served_.memory(), ToNewMm(), {.deadline = std::chrono::milliseconds(200)});
  Batch batch;
  batch.build.Pause(UINT64_MAX);
  (void)thread.Send(batch.message);
  EXPECT_EQ(thread.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  AwaitEmpty();
}

TEST_F(AttachTest, AClientThatVanishesLeavesNothing) {
  {
    const auto channel = served_.NewChannel();
    const auto stub = v1::MemoryService::NewStub(channel);
    std::vector<std::unique_ptr<Attached>> threads;
    for (int i = 0; i < 8; ++i) {
      threads.push_back(std::make_unique<Attached>(*stub, ToNewMm()));
      ASSERT_TRUE(threads.back()->opened());
      Batch batch;
      batch.build.Fork();
      batch.build.Pause(UINT64_MAX);
      threads.back()->Send(batch.message);
    }
  }
  AwaitEmpty();
}

TEST_F(AttachTest, TheMmThatItsThreadExitsEndsTheStreamBehindThatBatch) {
  for (const bool closes : {false, true}) {
    Attached thread(served_.memory(), ToNewMm());
    Batch batch;
    batch.build.Exit();
    batch.build.Mmap({0}, kPageSize, kAnonymous);
    thread.Send(batch.message);
    (void)thread.Send(batch.message);
    if (closes) thread.CloseSending();
    const auto response = thread.Receive();
    ASSERT_TRUE(response.has_value());
    EXPECT_EQ(response->results().completed(), 1U);
    EXPECT_EQ(response->results().end(), v1::BATCH_END_MM_EXITED);
    EXPECT_EQ(thread.Receive(), std::nullopt);
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_MM_EXITED, "open.mm"));
    AwaitEmpty();
  }
}

TEST_F(AttachTest, TheMmThatAnotherExitsEndsItsStreams) {
  const std::string mm = served_.MakeMm();
  Attached idle(served_.memory(), To(mm));
  Attached waiting(served_.memory(), To(mm));
  ASSERT_TRUE(idle.opened() && waiting.opened());
  Batch batch;
  batch.build.Brk({0});
  batch.build.Pause(UINT64_MAX);
  batch.build.Brk({0});
  waiting.Send(batch.message);
  waiting.CloseSending();
  v1::ExitMmRequest exit;
  exit.set_name(mm);
  EXPECT_THAT(served_.Call(&MemoryStub::ExitMm, exit).status, IsOk());
  EXPECT_THAT(idle.Finish(), IsRefusal(v1::ERROR_REASON_MM_EXITED, "open.mm"));
  EXPECT_THAT(waiting.Finish(), IsRefusal(v1::ERROR_REASON_MM_EXITED, "open.mm"));
  EXPECT_TRUE(served_.IsEmpty());
}

TEST_F(AttachTest, ADrainFinishesTheBatchUnderWayAndNoOther) {
  const std::string mm = served_.MakeMm();
  Attached idle(served_.memory(), To(mm));
  Attached thread(served_.memory(), InGroup(To(mm), 1));
  ASSERT_TRUE(idle.opened() && thread.opened());
  Batch batch(5);
  batch.build.Mmap({0}, kPageSize, kAnonymous);
  batch.build.Pause(20 * kNsPerMs);
  batch.build.Mmap({0}, kPageSize, {.prot = abi::kProtRead, .flags = kAnonymous.flags});
  thread.Send(batch.message);
  thread.Send(batch.message);
  EXPECT_TRUE(Eventually([&] { return served_.Use(mm).mm().map_count() == 1; }));
  served_.services().BeginDrain();
  const auto response = thread.Receive();
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->results().completed(), 3U);
  EXPECT_EQ(thread.Receive(), std::nullopt);
  EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
  EXPECT_THAT(idle.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
  EXPECT_EQ(served_.Use(mm).mm().map_count(), 2U);
  Attached late(served_.memory(), To(mm));
  EXPECT_THAT(late.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
}

TEST_F(AttachTest, ADrainFinishesABatchThatBeganWithoutWaitingAndHasToWait) {
  for (int round = 0; round < 20; ++round) {
    Served served;
    Attached thread(served.memory(), InGroup(ToNewMm(), 1));
    ASSERT_TRUE(thread.opened());
    Batch batch;
    batch.build.Fault(v1::ACCESS_KIND_READ, {0});  // which the transport can do
    batch.build.WaitProgress(2, 1, 0);             // and this it cannot
    EXPECT_TRUE(thread.Send(batch.message));
    Attached other(served.memory(), InGroup(ToNewMm(), 2));
    Batch wait;
    wait.build.WaitProgress(1, 1, 0);
    EXPECT_EQ(other.Run(wait.message).completed(), 1U);  // now it has begun, and can go on
    served.services().BeginDrain();
    const auto response = thread.Receive();
    ASSERT_TRUE(response.has_value()) << round;
    EXPECT_EQ(response->results().completed(), 2U);
    EXPECT_THAT(thread.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
    EXPECT_THAT(other.Finish(), IsRefusal(v1::ERROR_REASON_DRAINING, ""));
  }
}

TEST_F(AttachTest, ThreadsWaitForEachOthersProgress) {
  const std::string mm = served_.MakeMm();
  Attached first(served_.memory(), InGroup(To(mm), 1));
  Batch waits;
  waits.build.WaitProgress(2, 3, 0);
  waits.build.WaitProgress(1, 1, 0);  // its own, which is done
  waits.build.WaitProgress(1, 99, 0);
  waits.build.WaitProgress(2, 99, kNsPerMs);
  first.Send(waits.message);
  Attached second(served_.memory(), InGroup(ToNewMm(), 2));  // later, and of another mm
  ASSERT_TRUE(second.opened());
  Batch work;
  work.build.Brk({0});
  work.build.Brk({0});
  EXPECT_EQ(second.Run(work.message).completed(), 2U);
  Batch one;
  one.build.Fault(v1::ACCESS_KIND_READ, {0});  // counts though it fails
  EXPECT_EQ(second.Run(one.message).completed(), 1U);
  const auto response = first.Receive();
  ASSERT_TRUE(response.has_value());
  const ResultsReader read(response->results());
  EXPECT_TRUE(read.outcome(0).ok());
  EXPECT_TRUE(read.outcome(1).ok());
  EXPECT_EQ(read.outcome(2).error(), v1::ERRNO_EDEADLK);
  EXPECT_EQ(read.outcome(3).error(), v1::ERRNO_ETIMEDOUT);
  EXPECT_THAT(second.End(), IsOk());
  Batch gone;
  gone.build.WaitProgress(2, 4, 0);
  EXPECT_EQ(ResultsReader(first.Run(gone.message)).outcome(0).error(), v1::ERRNO_ESRCH);
  EXPECT_THAT(first.End(), IsOk());
}

TEST_F(AttachTest, OperationsThatAreSkippedCountAsProgress) {
  Attached first(served_.memory(), InGroup(ToNewMm(), 1));
  Attached second(served_.memory(), InGroup(ToNewMm(), 2));
  Batch batch;
  const uint32_t map = batch.build.Mmap({0}, 0, kAnonymous);
  batch.build.Touch(v1::ACCESS_KIND_READ, BatchBuilder::Relative(map, 0));
  EXPECT_EQ(second.Run(batch.message).completed(), 2U);
  Batch waits;
  waits.build.WaitProgress(2, 2, 0);
  EXPECT_TRUE(ResultsReader(first.Run(waits.message)).all_ok());
  EXPECT_THAT(first.End(), IsOk());
  EXPECT_THAT(second.End(), IsOk());
}

TEST_F(AttachTest, TheClockOfAGroupBeginsWithItsFirstWait) {
  Attached first(served_.memory(), InGroup(ToNewMm(), 1));
  Attached second(served_.memory(), InGroup(ToNewMm(), 2));
  Batch start;
  start.build.WaitClock(0);
  EXPECT_TRUE(ResultsReader(first.Run(start.message)).all_ok());
  Batch pause;
  pause.build.Pause(10 * kNsPerMs);
  const v1::OperationResults paused = second.Run(pause.message);
  EXPECT_TRUE(ResultsReader(paused).all_ok());
  EXPECT_GE(paused.elapsed_ns(), 10 * kNsPerMs);
  Batch clock;
  clock.build.WaitClock(5 * kNsPerMs);  // past: at once, and too late
  clock.build.WaitClock(30 * kNsPerMs);
  const v1::OperationResults results = second.Run(clock.message);
  EXPECT_TRUE(ResultsReader(results).all_ok());
  EXPECT_GE(results.values(0), 5 * kNsPerMs);
  EXPECT_THAT(first.End(), IsOk());
  EXPECT_THAT(second.End(), IsOk());
}

TEST_F(AttachTest, ForksAreRefusedByTheSimulatedKernelAtTheServersLimit) {
  Served served(Limits{.max_mms = 3});
  Attached thread(served.memory(), ToNewMm());
  Batch batch;
  for (int i = 0; i < 3; ++i) batch.build.Fork();
  const v1::OperationResults results = thread.Run(batch.message);
  const ResultsReader read(results);
  EXPECT_TRUE(read.outcome(0).ok());
  EXPECT_TRUE(read.outcome(1).ok());
  EXPECT_EQ(read.outcome(2).error(), v1::ERRNO_EAGAIN);
  v1::AttachOpen child;
  child.set_mm(MmName("default", read.value(0)));
  Attached in_child(served.memory(), child);
  EXPECT_TRUE(in_child.opened());
  EXPECT_THAT(thread.End(), IsOk());
  EXPECT_TRUE(Eventually([&] { return served.default_machine().mm_count() == 1; }))
      << "the copy with a thread stays";
  EXPECT_THAT(in_child.End(), IsOk());
  EXPECT_TRUE(Eventually([&] { return served.IsEmpty(); }));
}

TEST_F(AttachTest, ThereAreAsManyThreadsAsTheLimitSays) {
  Served served(Limits{.max_threads = 2});
  Attached first(served.memory(), ToNewMm());
  Attached second(served.memory(), ToNewMm());
  ASSERT_TRUE(first.opened() && second.opened());
  Attached third(served.memory(), ToNewMm());
  EXPECT_THAT(third.Finish(), IsRefusal(v1::ERROR_REASON_LIMIT_REACHED, ""));
  EXPECT_THAT(first.End(), IsOk());
  Attached fourth(served.memory(), ToNewMm());
  EXPECT_TRUE(fourth.opened());
  Batch batch;
  batch.build.Brk({0});
  EXPECT_EQ(fourth.Run(batch.message).completed(), 1U);
  EXPECT_THAT(fourth.End(), IsOk());
  EXPECT_THAT(second.End(), IsOk());
}

}  // namespace
}  // namespace faultline::server::testing
