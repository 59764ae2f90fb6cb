// SPDX-License-Identifier: Apache-2.0
//
// MachineEntry: a simulated machine as the server knows it: its name, its mms and files, the
// progress groups of its threads.
//
// Life. The registry, mms and calls in flight share it. Delete takes its name away and exits its
// mms; when the last reference has gone, a thread of the pool ends the core's Machine, which waits
// for grace periods. Invariant: an mm's entry keeps its machine's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include "core/machine/machine.h"
#include "server/epoch.h"
#include "server/limits.h"
#include "server/mm_entry.h"
#include "server/progress_group.h"
#include "server/refusal.h"
#include "server/worker_pool.h"

namespace faultline::server {

/// A file of a machine: one reference to its Mapping.
class FileRef {
 public:
  FileRef() = default;
  /// Takes over a reference.
  explicit FileRef(Mapping& mapping) : mapping_(&mapping) {}
  ~FileRef() {
    if (mapping_ != nullptr) mapping_->Put();
  }
  FileRef(FileRef&& other) noexcept : mapping_(std::exchange(other.mapping_, nullptr)) {}
  FileRef& operator=(FileRef&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    return *this;
  }
  /// One more.
  [[nodiscard]] FileRef Clone() const {
    mapping_->Get();
    return FileRef(*mapping_);
  }
  [[nodiscard]] Mapping& mapping() const { return *mapping_; }

 private:
  Mapping* mapping_ = nullptr;
};

class MachineEntry : public std::enable_shared_from_this<MachineEntry> {
 public:
  struct Options {
    std::string id;
    MachineOptions machine;
    std::string description;
    absl::Time create_time;
  };

  MachineEntry(Options options, std::unique_ptr<Machine> machine, const Limits& limits,
               const Epoch& epoch, WorkerPool& pool);
  ~MachineEntry();
  MachineEntry(const MachineEntry&) = delete;
  MachineEntry& operator=(const MachineEntry&) = delete;

  // -- Mms --------------------------------------------------------------------------------------

  /// A new, empty mm with a use for the caller. `options` is allowed.
  [[nodiscard]] OrRefusal<MmUse> CreateMm(const MmOptions& options, MmEntry::Options entry);
  /// Registers the copy that `fork` returns, with a use for the caller; the errno, if it fails.
  /// Limits are checked before it is called.
  [[nodiscard]] OrRefusal<Result<MmUse>> ForkMm(MmEntry& parent, MmLife life);
  /// A use; NOT_FOUND, OTHER_INSTANCE, MM_EXITED. `field` is where the name stands.
  [[nodiscard]] OrRefusal<MmUse> UseMm(uint64_t number, std::string_view field);
  /// Up to `max` of those that exist, from that number on, in order.
  [[nodiscard]] std::vector<std::shared_ptr<MmEntry>> MmsFrom(uint64_t number, size_t max) const;
  [[nodiscard]] size_t mm_count() const;
  /// Exits all mms. `done` is called when all are gone, on any thread; at once if there is none.
  void ExitAll(const std::function<void()>& done);
  /// Its name was taken away: exits all mms, and those that are being made as soon as they are.
  void Close();
  /// By an mm that is torn down.
  void Forget(const MmEntry& mm);

  // -- Files ------------------------------------------------------------------------------------

  struct File {
    uint64_t number = 0;
    uint64_t bytes = 0;
    FileRef ref;
  };
  /// A new file; LIMIT_REACHED, HOST_MEMORY.
  [[nodiscard]] OrRefusal<File> CreateFile(const std::string& path, uint64_t bytes);
  [[nodiscard]] OrRefusal<File> FindFile(uint64_t number, std::string_view field) const;
  /// As FindFile, for raw descriptors: nothing if there is none.
  [[nodiscard]] std::optional<FileRef> FileOf(uint64_t number) const;
  [[nodiscard]] MaybeRefusal DeleteFile(uint64_t number, std::string_view field);
  [[nodiscard]] std::vector<File> FilesFrom(uint64_t number, size_t max) const;
  /// The number of the file that has this cache; 0: none, or its name was given up.
  [[nodiscard]] uint64_t NumberOf(const Mapping* mapping) const;

  // -- The rest ---------------------------------------------------------------------------------

  [[nodiscard]] ProgressGroups& progress_groups() { return progress_groups_; }
  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const std::string& id() const { return options_.id; }
  [[nodiscard]] WorkerPool& pool() { return pool_; }
  [[nodiscard]] const Epoch& epoch() const { return epoch_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
  /// `done` is called on a thread of the pool when the core's Machine has ended and its memory
  /// counts no more.
  void WhenGone(std::function<void()> done);
  /// Those that WhenGone was told, for whoever ends the entry to call.
  [[nodiscard]] std::vector<std::function<void()>> TakeWaiters();

 private:
  [[nodiscard]] MaybeRefusal CheckRoomLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] MmUse Register(Mm& mm, MmEntry::Options entry) ABSL_LOCKS_EXCLUDED(mutex_);

  struct FileEntry {
    uint64_t bytes = 0;
    FileRef ref;
  };

  const Options options_;
  const Limits& limits_;
  const Epoch& epoch_;
  WorkerPool& pool_;
  std::unique_ptr<Machine> machine_;
  ProgressGroups progress_groups_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<MmEntry>> mms_ ABSL_GUARDED_BY(mutex_);
  size_t mms_coming_ ABSL_GUARDED_BY(mutex_) = 0;  ///< being made: they count against the limit
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint32_t last_mm_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, FileEntry> files_ ABSL_GUARDED_BY(mutex_);
  std::map<const Mapping*, uint64_t> numbers_ ABSL_GUARDED_BY(mutex_);  ///< of files
  uint32_t last_file_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::function<void()>> when_gone_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace faultline::server
