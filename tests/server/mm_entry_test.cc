// SPDX-License-Identifier: Apache-2.0
//
// Uses, ends and holders of mms: an mm that exits is refused to new uses, kills its threads, and is
// torn down when the last use has gone; one that lives with its threads exits with the last of
// them. Without gRPC: entries, a registry and a pool.
#include "server/mm_entry.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <absl/synchronization/notification.h>
#include <gtest/gtest.h>

#include "core/mm/abi.h"
#include "server/registry.h"
#include "server/simulated_thread.h"

namespace faultline::server {
namespace {

class MmEntryTest : public ::testing::Test {
 protected:
  ~MmEntryTest() override { registry_.Close(); }

  MachineEntry& machine() { return **registry_.FindMachine("machines/default", ""); }
  MmUse Make(MmLife life = MmLife::kUntilExit) {
    auto use =
        machine().CreateMm({}, {.number = 0, .description = {}, .parent_number = 0, .life = life});
    EXPECT_TRUE(use.ok());
    return *std::move(use);
  }
  std::unique_ptr<SimulatedThread> Attach(const v1::AttachOpen& open) {
    auto thread = SimulatedThread::Create(registry_, open);
    EXPECT_TRUE(thread.ok()) << thread.refusal().field;
    return thread.ok() ? *std::move(thread) : nullptr;
  }
  std::unique_ptr<SimulatedThread> AttachTo(const std::string& mm) {
    v1::AttachOpen open;
    open.set_mm(mm);
    return Attach(open);
  }
  std::unique_ptr<SimulatedThread> AttachToNew() {
    v1::AttachOpen open;
    open.set_machine("machines/default");
    return Attach(open);
  }
  v1::ErrorReason ReasonOf(const std::string& mm) {
    auto use = registry_.UseMm(mm, "mm");
    return use.ok() ? v1::ERROR_REASON_UNSPECIFIED : use.refusal().reason;
  }
  /// Waits until no mm of that name is there.
  void AwaitGone(const std::string& mm) {
    while (ReasonOf(mm) == v1::ERROR_REASON_MM_EXITED) std::this_thread::yield();
    EXPECT_EQ(ReasonOf(mm), v1::ERROR_REASON_NOT_FOUND);
  }

  const Limits limits_;
  const Epoch epoch_{0x1234'5000'0000'0001};
  WorkerPool pool_{{.max_threads = 4, .max_queue = 4}};
  Registry registry_{limits_, epoch_, pool_};
};

/// A thread that notes its kill.
class Killable final : public MmThread {
 public:
  void Kill() override { killed_.store(true); }
  [[nodiscard]] uint32_t task() const override { return 1; }
  [[nodiscard]] std::shared_ptr<FaultEventRing> events() const override { return nullptr; }
  [[nodiscard]] bool killed() const { return killed_.load(); }

 private:
  std::atomic<bool> killed_{false};
};

TEST_F(MmEntryTest, ExitRefusesNewUsesAndWaitsForTheLast) {
  MmUse use = Make();
  const std::string name = use.entry().name();
  MmUse second = use.entry().TryUse();
  absl::Notification gone;
  ASSERT_TRUE(use.entry().Exit([&] { gone.Notify(); }));
  EXPECT_TRUE(use.entry().exiting());
  EXPECT_FALSE(use.entry().TryUse());
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_MM_EXITED);
  EXPECT_FALSE(use.entry().Exit([] { FAIL() << "of a second exit"; }));
  use.Drop();
  EXPECT_FALSE(gone.HasBeenNotified());
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_MM_EXITED);
  second.Drop();
  gone.WaitForNotification();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_NOT_FOUND);
  EXPECT_EQ(machine().mm_count(), 0U);
}

TEST_F(MmEntryTest, ItsFramesAreFreeWhenItIsGone) {
  const uint64_t before = machine().machine().frames().free_frames();
  MmUse use = Make();
  const auto where = use.mm().Mmap({.length = 64 * kPageSize,
                                    .prot = abi::kProtRead | abi::kProtWrite,
                                    .flags = abi::kMapPrivate | abi::kMapAnonymous});
  ASSERT_TRUE(where.ok());
  for (uint64_t page = 0; page < 64; ++page) {
    ASSERT_TRUE(
        use.mm().Touch(VirtAddr(where->value() + page * kPageSize), AccessKind::kWrite).ok());
  }
  EXPECT_LE(machine().machine().frames().free_frames() + 64, before);
  absl::Notification gone;
  ASSERT_TRUE(use.entry().Exit([&] { gone.Notify(); }));
  use.Drop();
  gone.WaitForNotification();
  machine().machine().Validate();
  EXPECT_EQ(machine().machine().frames().free_frames(), before);
}

TEST_F(MmEntryTest, WhoAsksWhenItIsGoneIsToldAtOnce) {
  MmUse use = Make();
  const auto entry = use.entry().shared_from_this();
  absl::Notification first;
  absl::Notification later;
  entry->WhenGone([&] { first.Notify(); });
  ASSERT_TRUE(entry->Exit({}));
  use.Drop();
  first.WaitForNotification();
  bool at_once = false;
  entry->WhenGone([&] { at_once = true; });
  EXPECT_TRUE(at_once);
}

TEST_F(MmEntryTest, ExitKillsItsThreadsAndThoseThatComeLate) {
  MmUse use = Make();
  Killable early;
  Killable late;
  ASSERT_FALSE(use.entry().AddThread("early", early));
  EXPECT_EQ(use.entry().thread_count(), 1U);
  EXPECT_FALSE(early.killed());
  ASSERT_TRUE(use.entry().Exit({}));
  EXPECT_TRUE(early.killed());
  ASSERT_FALSE(use.entry().AddThread("late", late));
  EXPECT_TRUE(late.killed());
  use.entry().RemoveThread("early");
  use.entry().RemoveThread("late");
}

TEST_F(MmEntryTest, AnIdOfAThreadIsTakenWhileItLives) {
  MmUse use = Make();
  Killable thread;
  ASSERT_FALSE(use.entry().AddThread("a", thread));
  const MaybeRefusal refusal = use.entry().AddThread("a", thread);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, v1::ERROR_REASON_ALREADY_EXISTS);
  use.entry().RemoveThread("a");
  ASSERT_FALSE(use.entry().AddThread("a", thread));
  use.entry().RemoveThread("a");
}

TEST_F(MmEntryTest, ANewMmExitsWithItsLastThread) {
  auto first = AttachToNew();
  const std::string name = first->entry().name();
  auto second = AttachTo(name);
  EXPECT_EQ(first->entry().thread_count(), 2U);
  first.reset();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_UNSPECIFIED);
  second.reset();
  AwaitGone(name);
  EXPECT_EQ(registry_.thread_count(), 0U);
}

TEST_F(MmEntryTest, ACallThatUsesItDoesNotKeepANewMm) {
  auto thread = AttachToNew();
  const std::string name = thread->entry().name();
  MmUse use = thread->entry().TryUse();
  thread.reset();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_MM_EXITED);
  EXPECT_TRUE(use.entry().exiting());
  use.Drop();
  AwaitGone(name);
}

TEST_F(MmEntryTest, ACopyOfANewMmLivesAsLongAsWhoMadeItAndItsOwnThreads) {
  auto parent = AttachToNew();
  std::string name;
  {
    auto child = machine().ForkMm(parent->entry(), MmLife::kWithThreads);
    ASSERT_TRUE(child.ok() && child->ok());
    name = child->value().entry().name();
    EXPECT_EQ(child->value().entry().options().parent_number, parent->entry().options().number);
    parent->Hold(child->value());
  }
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_UNSPECIFIED);
  auto thread = AttachTo(name);
  parent.reset();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_UNSPECIFIED) << "it has a thread";
  thread.reset();
  AwaitGone(name);
}

TEST_F(MmEntryTest, ACopyWithoutThreadsGoesWithWhoMadeIt) {
  auto parent = AttachToNew();
  std::string name;
  {
    auto child = machine().ForkMm(parent->entry(), MmLife::kWithThreads);
    ASSERT_TRUE(child.ok() && child->ok());
    name = child->value().entry().name();
    parent->Hold(child->value());
  }
  parent.reset();
  AwaitGone(name);
}

TEST_F(MmEntryTest, AnMmThatWasMadeToStayDoesNotGoWithItsThreads) {
  MmUse use = Make();
  const std::string name = use.entry().name();
  auto thread = AttachTo(name);
  EXPECT_FALSE(thread->entry().exits_with_threads());
  thread.reset();
  EXPECT_EQ(ReasonOf(name), v1::ERROR_REASON_UNSPECIFIED);
}

TEST_F(MmEntryTest, ARefusedThreadLeavesNothing) {
  auto first = AttachToNew();
  v1::AttachOpen open;
  open.set_mm(first->entry().name());
  open.set_thread_id("a");
  open.set_progress_group("g");
  open.set_progress_number(1);
  auto second = Attach(open);

  open.set_progress_number(2);  // the id is taken
  auto refused = SimulatedThread::Create(registry_, open);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().field, "open.thread_id");
  EXPECT_EQ(registry_.thread_count(), 2U);

  open.set_thread_id("b");
  auto third = Attach(open);  // and its number was not
  EXPECT_NE(third, nullptr);

  open.set_thread_id("c");  // the number is taken
  auto again = SimulatedThread::Create(registry_, open);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.refusal().field, "open.progress_number");
  EXPECT_EQ(registry_.thread_count(), 3U);
  EXPECT_EQ(first->entry().thread_count(), 3U);

  v1::AttachOpen alone;
  alone.set_machine("machines/default");
  alone.set_progress_group("g");
  alone.set_progress_number(1);
  EXPECT_FALSE(SimulatedThread::Create(registry_, alone).ok());
  while (machine().mm_count() != 1) std::this_thread::yield();  // its new mm goes again
}

TEST_F(MmEntryTest, TheServersOwnIdsKeepClearOfThoseThatClientsChose) {
  auto first = AttachToNew();
  const std::string mm = first->entry().name();
  const std::string last = first->name().substr(first->name().rfind('/') + 2);  // behind the t
  const uint64_t next = std::stoull(last) + 1;
  v1::AttachOpen open;
  open.set_mm(mm);
  open.set_thread_id("t" + std::to_string(next));
  auto chosen = Attach(open);
  auto not_chosen = AttachTo(mm);
  ASSERT_NE(not_chosen, nullptr);
  EXPECT_NE(not_chosen->name(), chosen->name());
}

}  // namespace
}  // namespace faultline::server
