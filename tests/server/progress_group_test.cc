// SPDX-License-Identifier: Apache-2.0
//
// Progress groups: a wait ends when the other member has done enough, and with an error when it
// never can: who left, who is waited for in a circle, whose time is over, who is killed. Numbers of
// former members stay taken as long as the group exists.
//
// Threads are brought to their waits without a sleep: a wait that has to be there is noticed by
// what it makes others answer, EDEADLK.
#include "server/progress_group.h"

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <absl/time/clock.h>
#include <gtest/gtest.h>

namespace faultline::server {
namespace {

constexpr absl::Duration kForever = absl::Seconds(30);  // so that what hangs fails

/// A member and the number by which others wait for it.
struct Member {
  uint64_t number = 0;
  std::unique_ptr<ProgressMember> progress;

  ProgressMember* operator->() const { return progress.get(); }
};

Member Join(ProgressGroups& groups, uint64_t number, const std::string& group = "g") {
  auto member = groups.Join(group, number);
  EXPECT_TRUE(member.ok());
  return {.number = number, .progress = member.ok() ? *std::move(member) : nullptr};
}

/// Members 1 to `kCount` of one group.
template <size_t kCount>
std::array<Member, kCount> JoinAll(ProgressGroups& groups) {
  std::array<Member, kCount> members;
  for (size_t i = 0; i < kCount; ++i) members[i] = Join(groups, i + 1);
  return members;
}

/// A member that waits on a thread of its own, until another one has done `count`.
class Waiter {
 public:
  /// It waits when this returns.
  Waiter(const Member& member, const Member& awaited, uint64_t count)
      : Waiter(member, awaited.number, count) {
    while (awaited->Wait(member.number, UINT64_MAX, absl::ZeroDuration()) != Errno::kEdeadlk) {
      std::this_thread::yield();
    }
  }
  /// For one that need not be there yet. It may be yet to begin its wait, too.
  Waiter(const Member& member, uint64_t number, uint64_t count)
      : thread_([&member, number, count, this] {
          error_ = member->Wait(number, count, kForever);
          ended_.store(true);
        }) {}
  ~Waiter() {
    if (thread_.joinable()) thread_.join();
  }
  std::optional<Errno> Join() {
    thread_.join();
    return error_;
  }
  [[nodiscard]] bool ended() const { return ended_.load(); }

 private:
  std::optional<Errno> error_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

TEST(ProgressGroupTest, WhatIsDoneAlreadyIsNotWaitedFor) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  EXPECT_EQ(a->Wait(2, 0, kForever), std::nullopt);
  b->CountOne();
  EXPECT_EQ(a->Wait(2, 1, kForever), std::nullopt);
  EXPECT_EQ(b->Wait(2, 1, kForever), std::nullopt) << "its own progress, if it is there";
}

TEST(ProgressGroupTest, WaitsUntilTheOtherHasDoneEnough) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  Waiter waiter(a, b, 3);
  b->CountOne();
  b->CountOne();
  EXPECT_FALSE(waiter.ended());
  b->CountOne();
  EXPECT_EQ(waiter.Join(), std::nullopt);
}

TEST(ProgressGroupTest, SeveralMayWaitForDifferentCountsOfOne) {
  ProgressGroups groups;
  const auto [a, b, c] = JoinAll<3>(groups);
  Waiter first(a, c, 1);
  Waiter second(b, c, 2);
  c->CountOne();
  EXPECT_EQ(first.Join(), std::nullopt);
  EXPECT_FALSE(second.ended());
  c->CountOne();
  EXPECT_EQ(second.Join(), std::nullopt);
}

TEST(ProgressGroupTest, KeepsTheOrderOfTwoThatTakeTurns) {
  constexpr int kTurns = 2000;
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  std::vector<int> order;  // guarded by whose turn it is
  std::thread other([&] {
    for (uint64_t turn = 0; turn < kTurns; ++turn) {
      ASSERT_EQ(b->Wait(1, 2 * turn + 1, kForever), std::nullopt) << turn;
      b->CountOne();
      order.push_back(2);
      b->CountOne();
    }
  });
  for (uint64_t turn = 0; turn < kTurns; ++turn) {
    order.push_back(1);
    a->CountOne();
    // The other one may not have left its wait for this member yet, though it can: that is no
    // circle.
    ASSERT_EQ(a->Wait(2, 2 * turn + 2, kForever), std::nullopt) << turn;
    a->CountOne();
  }
  other.join();
  ASSERT_EQ(order.size(), size_t{2} * kTurns);
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i % 2 == 0 ? 1 : 2) << i;
}

TEST(ProgressGroupTest, WaitsForOneThatIsYetToCome) {
  ProgressGroups groups;
  const Member a = Join(groups, 1);
  EXPECT_EQ(a->Wait(7, 1, absl::ZeroDuration()), Errno::kEtimedout);
  Waiter waiter(a, 7, 1);
  const Member late = Join(groups, 7);
  late->CountOne();
  EXPECT_EQ(waiter.Join(), std::nullopt);
}

TEST(ProgressGroupTest, OneThatLeftWithoutHavingDoneEnoughIsGone) {
  ProgressGroups groups;
  auto [a, b] = JoinAll<2>(groups);
  b->CountOne();
  Waiter waiter(a, b, 2);
  b.progress.reset();
  EXPECT_EQ(waiter.Join(), Errno::kEsrch);
  EXPECT_EQ(a->Wait(2, 2, kForever), Errno::kEsrch);
  EXPECT_EQ(a->Wait(2, 1, kForever), std::nullopt) << "what it did stays done";
}

TEST(ProgressGroupTest, TimeEndsAWait) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  const absl::Time begin = absl::Now();
  EXPECT_EQ(a->Wait(2, 1, absl::Milliseconds(5)), Errno::kEtimedout);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(5));
  b->CountOne();
  EXPECT_EQ(a->Wait(2, 1, absl::Milliseconds(5)), std::nullopt);
}

TEST(ProgressGroupTest, ToWaitForOneselfWouldNeverEnd) {
  ProgressGroups groups;
  const Member a = Join(groups, 1);
  EXPECT_EQ(a->Wait(1, 1, kForever), Errno::kEdeadlk);
}

TEST(ProgressGroupTest, ACircleOfTwoIsRefused) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  Waiter waiter(a, b, 1);
  EXPECT_EQ(b->Wait(1, 1, kForever), Errno::kEdeadlk);
  EXPECT_FALSE(waiter.ended()) << "the one that closes the circle has the error";
  b->CountOne();
  EXPECT_EQ(waiter.Join(), std::nullopt);
}

TEST(ProgressGroupTest, ACircleOfThreeIsRefused) {
  ProgressGroups groups;
  const auto [a, b, c] = JoinAll<3>(groups);
  Waiter first(a, b, 1);
  Waiter second(b, c, 1);
  EXPECT_EQ(c->Wait(1, 1, kForever), Errno::kEdeadlk) << "1 waits for 2, which waits for 3";
  EXPECT_EQ(c->Wait(2, 1, kForever), Errno::kEdeadlk);
  c->CountOne();
  EXPECT_EQ(second.Join(), std::nullopt);
  b->CountOne();
  EXPECT_EQ(first.Join(), std::nullopt);
}

TEST(ProgressGroupTest, WhoCanGoOnIsInNoCircle) {
  for (int round = 0; round < 500; ++round) {
    ProgressGroups groups;
    const auto [a, b] = JoinAll<2>(groups);
    Waiter waiter(a, b, 1);
    b->CountOne();  // now it can, whether or not it has noticed
    EXPECT_EQ(b->Wait(1, 1, absl::ZeroDuration()), Errno::kEtimedout) << round;
    EXPECT_EQ(waiter.Join(), std::nullopt);
  }
}

TEST(ProgressGroupTest, AKillEndsTheWaitAndThoseThatFollow) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  Waiter waiter(a, b, 1);
  a->Kill();
  EXPECT_EQ(waiter.Join(), Errno::kEintr);
  EXPECT_EQ(a->Wait(2, 1, kForever), Errno::kEintr);
  b->CountOne();
  EXPECT_EQ(a->Wait(2, 1, kForever), std::nullopt) << "that is no wait";
}

TEST(ProgressGroupTest, NumbersOfFormerThreadsStayTakenUntilTheGroupEnds) {
  ProgressGroups groups;
  Member a = Join(groups, 1);
  EXPECT_FALSE(groups.Join("g", 1).ok());
  Member b = Join(groups, 2);
  b.progress.reset();
  auto again = groups.Join("g", 2);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.refusal().reason, v1::ERROR_REASON_ALREADY_EXISTS);
  EXPECT_EQ(again.refusal().field, "open.progress_number");
  EXPECT_EQ(again.refusal().value, "2");
  a.progress.reset();  // the last one: the group ends
  const Member anew = Join(groups, 2);
  EXPECT_EQ(anew->Wait(1, 1, absl::ZeroDuration()), Errno::kEtimedout) << "nobody left it";
}

TEST(ProgressGroupTest, GroupsAreApart) {
  ProgressGroups groups;
  const Member a = Join(groups, 1, "g");
  const Member other = Join(groups, 1, "h");
  other->CountOne();
  EXPECT_EQ(a->Wait(1, 1, kForever), Errno::kEdeadlk) << "that is itself, not the other one";
}

TEST(ProgressGroupTest, TheClockBeginsOnceForAll) {
  ProgressGroups groups;
  const auto [a, b] = JoinAll<2>(groups);
  const absl::Time began = a->ClockBegan();
  EXPECT_EQ(b->ClockBegan(), began);
  EXPECT_EQ(a->ClockBegan(), began);
}

}  // namespace
}  // namespace faultline::server
