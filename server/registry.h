// SPDX-License-Identifier: Apache-2.0
//
// Registry: the machines of the server by name, and the way from a name in a request to what it
// names. Whatever sums over machines (memory, threads) is counted here against Limits.
//
// machines/default always exists: it is made with the registry, and made anew when it is deleted.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include "server/epoch.h"
#include "server/limits.h"
#include "server/machine_entry.h"
#include "server/refusal.h"
#include "server/worker_pool.h"

namespace faultline::server {

/// A place among Limits.max_threads, given back at its end.
class [[nodiscard]] ThreadPlace {
 public:
  explicit ThreadPlace(std::atomic<uint64_t>& threads) : threads_(&threads) {}
  ~ThreadPlace() {
    if (threads_ != nullptr) threads_->fetch_sub(1, std::memory_order_relaxed);
  }
  ThreadPlace(ThreadPlace&& other) noexcept : threads_(std::exchange(other.threads_, nullptr)) {}
  ThreadPlace& operator=(ThreadPlace&&) = delete;

 private:
  std::atomic<uint64_t>* threads_;
};

/// A file that a request named, and its machine.
struct NamedFile {
  std::shared_ptr<MachineEntry> machine;
  MachineEntry::File file;
};

class Registry {
 public:
  /// `limits`, `epoch` and `pool` outlive it.
  Registry(const Limits& limits, const Epoch& epoch, WorkerPool& pool);
  /// Close has ended.
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Exits every mm and ends every machine; returns when all is gone. No call is in flight.
  void Close();

  // -- Machines ---------------------------------------------------------------------------------

  /// With an empty id the server chooses one. `options` is allowed (WhyRefused).
  /// ALREADY_EXISTS, LIMIT_REACHED, HOST_MEMORY.
  [[nodiscard]] OrRefusal<std::shared_ptr<MachineEntry>> CreateMachine(
      std::string id, const MachineOptions& options, std::string description);
  /// By name, such as machines/M, that stands in `field`: INVALID_NAME, NOT_FOUND.
  [[nodiscard]] OrRefusal<std::shared_ptr<MachineEntry>> FindMachine(std::string_view name,
                                                                     std::string_view field) const;
  /// Up to `max`, in the order of their ids, from `id` on.
  [[nodiscard]] std::vector<std::shared_ptr<MachineEntry>> MachinesFrom(const std::string& id,
                                                                        size_t max) const;
  enum class Force { kNo, kYes };
  /// Takes the name away and ends it; `done` is called on a thread of the pool when it is gone.
  /// NOT_FOUND; IN_USE if it has mms and is not forced.
  [[nodiscard]] MaybeRefusal DeleteMachine(std::string_view name, std::string_view field,
                                           Force force, std::function<void()> done);

  // -- By name ----------------------------------------------------------------------------------

  /// A use of machines/M/mms/I: INVALID_NAME, NOT_FOUND, OTHER_INSTANCE, MM_EXITED.
  [[nodiscard]] OrRefusal<MmUse> UseMm(std::string_view name, std::string_view field) const;
  /// machines/M/files/F: INVALID_NAME, NOT_FOUND, OTHER_INSTANCE.
  [[nodiscard]] OrRefusal<NamedFile> FindFile(std::string_view name, std::string_view field) const;
  /// The same, of that machine: OUT_OF_RANGE if it is another one's.
  [[nodiscard]] OrRefusal<MachineEntry::File> FindFileOf(MachineEntry& machine,
                                                         std::string_view name,
                                                         std::string_view field) const;

  // -- Sums -------------------------------------------------------------------------------------

  /// LIMIT_REACHED at Limits.max_threads.
  [[nodiscard]] OrRefusal<ThreadPlace> AddThread();
  [[nodiscard]] uint64_t thread_count() const { return threads_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t memory_bytes() const;
  [[nodiscard]] size_t machine_count() const;

  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] const Epoch& epoch() const { return epoch_; }
  [[nodiscard]] WorkerPool& pool() { return pool_; }

 private:
  using Entry = std::shared_ptr<MachineEntry>;

  [[nodiscard]] Entry Find(std::string_view id) const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] MaybeRefusal CheckRoomLocked(std::string_view id, uint64_t bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] OrRefusal<Entry> MakeLocked(std::string id, const MachineOptions& options,
                                            std::string description)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::string FreeIdLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeDefaultLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MachineIsGone(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool NothingIsLeftLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return alive_ == 0;
  }

  const Limits& limits_;
  const Epoch& epoch_;
  WorkerPool& pool_;
  std::atomic<uint64_t> threads_{0};
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry, std::less<>> machines_ ABSL_GUARDED_BY(mutex_);
  size_t alive_ ABSL_GUARDED_BY(mutex_) = 0;           ///< those whose name was taken away included
  uint64_t memory_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  ///< of those alive
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace faultline::server
