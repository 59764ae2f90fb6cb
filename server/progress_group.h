// SPDX-License-Identifier: Apache-2.0
//
// Progress groups: threads of a machine that wait for each other's progress, so that a recording
// can be replayed with the order between its threads kept (attach.proto: WAIT_PROGRESS,
// WAIT_CLOCK).
//
// Each member counts the operations it has carried out; another waits until the count is high
// enough. Counting is a store and a load of the member's own line, unless somebody waits for that
// very count. Waits end early when they cannot succeed: the other one has left, or waits, directly
// or through others, for the one that would wait. That graph is kept under the group's mutex, and a
// wait that closes a cycle is refused, so no two members wait for each other for ever.
//
// A group exists as long as a thread is in it. Numbers of threads that left stay taken, and those
// of threads that are yet to come can be waited for.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include "core/base/errno.h"
#include "server/refusal.h"

namespace faultline::server {

class ProgressGroups;

class ProgressGroup {
 public:
  ProgressGroup() = default;
  ProgressGroup(const ProgressGroup&) = delete;
  ProgressGroup& operator=(const ProgressGroup&) = delete;

 private:
  friend class ProgressGroups;
  friend class ProgressMember;

  /// One number: of a thread that is there, was there, or is only waited for yet.
  struct Member {
    std::atomic<uint64_t> done{0};              ///< operations carried out; written by the thread
    std::atomic<uint64_t> wake_at{UINT64_MAX};  ///< the least that somebody waits for
    absl::CondVar progress;                     ///< of those that wait for it
    enum class State : uint8_t { kExpected, kThere, kLeft } state = State::kExpected;
    bool killed = false;
    Member* waiting_for = nullptr;  ///< while it waits
    uint64_t waiting_count = 0;     ///< with that: how much it waits for

    /// Whether it has to wait on. One that may go on is still in its wait until it has woken up.
    [[nodiscard]] bool IsStuck() const {
      return waiting_for != nullptr && !killed && waiting_for->state != State::kLeft &&
             waiting_for->done.load(std::memory_order_seq_cst) < waiting_count;  // as CountOne
    }
  };

  /// Whether `from` waits, directly or through others, for `target`. Waits that have what they want
  /// do not count: else who did what another one waits for, and then waits for that one, would be
  /// refused.
  [[nodiscard]] bool WaitsForLocked(const Member& from, const Member& target) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::map<uint64_t, Member> members_ ABSL_GUARDED_BY(mutex_);  ///< nodes never move
  size_t there_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Time> clock_began_ ABSL_GUARDED_BY(mutex_);
};

/// A thread's membership. All but Kill is for the thread itself.
class ProgressMember {
 public:
  ~ProgressMember();
  ProgressMember(const ProgressMember&) = delete;
  ProgressMember& operator=(const ProgressMember&) = delete;

  /// One operation more was carried out or skipped.
  void CountOne() {
    const uint64_t done = self_.done.load(std::memory_order_relaxed) + 1;
    // Sequentially consistent with Wait, which stores wake_at and then loads done: one of the two
    // sees the other.
    self_.done.store(done, std::memory_order_seq_cst);
    if (self_.wake_at.load(std::memory_order_seq_cst) <= done) [[unlikely]]
      WakeWaiters();
  }

  /// Waits until member `number` has carried out `count` operations: nothing, or ESRCH, ETIMEDOUT,
  /// EDEADLK, EINTR. `timeout` may be infinite.
  [[nodiscard]] std::optional<Errno> Wait(uint64_t number, uint64_t count, absl::Duration timeout);

  /// When the group's clock began: now, if nobody asked before.
  [[nodiscard]] absl::Time ClockBegan();

  /// Its waits end with EINTR, now and later. Any thread.
  void Kill();

 private:
  friend class ProgressGroups;
  ProgressMember(ProgressGroups& groups, std::string name, std::shared_ptr<ProgressGroup> group,
                 ProgressGroup::Member& self)
      : groups_(groups), name_(std::move(name)), group_(std::move(group)), self_(self) {}
  void WakeWaiters();

  ProgressGroups& groups_;
  const std::string name_;
  const std::shared_ptr<ProgressGroup> group_;
  ProgressGroup::Member& self_;
};

/// The groups of a machine, by name.
class ProgressGroups {
 public:
  /// ALREADY_EXISTS if a live or former thread of the group has that number.
  [[nodiscard]] OrRefusal<std::unique_ptr<ProgressMember>> Join(const std::string& group,
                                                                uint64_t number);

 private:
  friend class ProgressMember;
  void Leave(const std::string& name, ProgressGroup& group, ProgressGroup::Member& member);

  absl::Mutex mutex_;  // outside the groups' own
  std::map<std::string, std::shared_ptr<ProgressGroup>> groups_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace faultline::server
