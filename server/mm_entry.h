// SPDX-License-Identifier: Apache-2.0
//
// MmEntry: an mm as the server knows it: its name, who uses it, and how it ends.
//
// Uses. Whoever calls the core's Mm has an MmUse; attached threads have one as long as they live.
// The entry itself is one of the core's users for all of them, so a use costs one atomic step and
// its end never tears anything down by itself: the last one to go after Exit posts that to the
// worker pool, since teardown may sleep and a use may end on a thread of the transport.
//
// Holders. An mm that exits with its threads has a count of what keeps it: attached threads, and
// the streams that forked it. The last to go exits it.
// Guarantee: when the callback of Exit or WhenGone is called, the mm's frames are free; if it had
// gone before the call, but for page tables that still wait for their grace period.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include "core/mm/mm.h"
#include "core/observe/fault_events.h"
#include "server/refusal.h"

namespace faultline::server {

class MachineEntry;
class MmEntry;

/// Whether an mm lives until ExitMm, or as long as its threads.
enum class MmLife : uint8_t { kUntilExit, kWithThreads };

/// One who runs in an mm and can be killed: an attached thread.
class MmThread {
 public:
  virtual ~MmThread() = default;
  /// A fatal signal. Any thread; may be called more than once, and while it ends.
  virtual void Kill() = 0;
  /// Its number in explanations (Task::id).
  [[nodiscard]] virtual uint32_t task() const = 0;
  /// Where its faults are recorded; null: nowhere.
  [[nodiscard]] virtual std::shared_ptr<FaultEventRing> events() const = 0;
};

/// What is known about a thread of an mm.
struct MmThreadInfo {
  std::string id;
  uint32_t task = 0;
  std::shared_ptr<FaultEventRing> events;  ///< null if its faults are not recorded
};

/// The right to call an mm, until this object ends. Empty when moved from.
class [[nodiscard]] MmUse {
 public:
  MmUse() = default;
  /// Takes over a use that was counted.
  explicit MmUse(std::shared_ptr<MmEntry> entry) : entry_(std::move(entry)) {}
  ~MmUse() { Drop(); }
  MmUse(MmUse&& other) noexcept : entry_(std::move(other.entry_)) {}
  MmUse& operator=(MmUse&& other) noexcept {
    if (this != &other) {
      Drop();
      entry_ = std::move(other.entry_);
    }
    return *this;
  }

  [[nodiscard]] explicit operator bool() const { return entry_ != nullptr; }
  [[nodiscard]] MmEntry& entry() const { return *entry_; }
  [[nodiscard]] MmEntry* operator->() const { return entry_.get(); }
  [[nodiscard]] Mm& mm() const;
  /// Ends the use now.
  void Drop();

 private:
  std::shared_ptr<MmEntry> entry_;
};

class MmEntry : public std::enable_shared_from_this<MmEntry> {
 public:
  struct Options {
    uint64_t number = 0;
    std::string description;
    uint64_t parent_number = 0;  ///< of the mm that it was forked from; 0: none
    MmLife life = MmLife::kUntilExit;
  };

  /// Takes over `mm`'s user. `machine` lives as long as the entry.
  MmEntry(std::shared_ptr<MachineEntry> machine, Mm& mm, Options options);
  ~MmEntry();
  MmEntry(const MmEntry&) = delete;
  MmEntry& operator=(const MmEntry&) = delete;

  /// A use, or an empty one if it is exiting. Any thread; does not sleep.
  [[nodiscard]] MmUse TryUse();

  /// Refuses new uses, kills its threads, and lets the last use tear it down. `done`, which may be
  /// empty, is called after that, on a thread of the pool. False, and `done` is dropped, if another
  /// call is ending it or has.
  bool Exit(std::function<void()> done);
  /// Calls `done` when it is gone; at once if it is.
  void WhenGone(std::function<void()> done);

  /// A thread that runs in it, under an id; AlreadyExists. It is killed at once if the mm is
  /// exiting. The thread removes itself before it ends.
  [[nodiscard]] MaybeRefusal AddThread(const std::string& id, MmThread& thread);
  void RemoveThread(const std::string& id);
  [[nodiscard]] size_t thread_count() const;
  /// Those that are there now, by id.
  [[nodiscard]] std::vector<MmThreadInfo> Threads() const;

  /// One more that keeps it; only for an mm that lives with its threads, and by one who has a use.
  void AddHolder() { holders_.fetch_add(1, std::memory_order_relaxed); }
  void DropHolder();

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] MachineEntry& machine() const { return *machine_; }
  [[nodiscard]] bool exiting() const;
  [[nodiscard]] bool exits_with_threads() const { return options_.life == MmLife::kWithThreads; }
  /// The caller has a use.
  [[nodiscard]] Mm& mm() const { return mm_; }

 private:
  friend class MmUse;
  static constexpr uint64_t kExiting = uint64_t{1} << 63;

  void DropUse();
  void TearDown();

  const std::shared_ptr<MachineEntry> machine_;
  Mm& mm_;
  const Options options_;
  const std::string name_;
  std::atomic<uint64_t> uses_{1};  ///< with kExiting; one is the entry's own, until Exit
  std::atomic<uint32_t> holders_{0};
  mutable absl::Mutex mutex_;
  std::map<std::string, MmThread*> threads_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> when_gone_ ABSL_GUARDED_BY(mutex_);
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
};

inline Mm& MmUse::mm() const { return entry_->mm(); }
inline void MmUse::Drop() {
  // The entry outlives the step: its use ends before this reference to it does.
  if (const auto entry = std::exchange(entry_, nullptr)) entry->DropUse();
}

}  // namespace faultline::server
