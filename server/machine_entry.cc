// SPDX-License-Identifier: Apache-2.0
//
// A machine's mms and files by number; see machine_entry.h.
#include "server/machine_entry.h"

#include <atomic>
#include <utility>

#include "server/names.h"

namespace faultline::server {

MachineEntry::MachineEntry(Options options, std::unique_ptr<Machine> machine, const Limits& limits,
                           const Epoch& epoch, WorkerPool& pool)
    : options_(std::move(options)),
      limits_(limits),
      epoch_(epoch),
      pool_(pool),
      machine_(std::move(machine)) {}

MachineEntry::~MachineEntry() {
  files_.clear();
  machine_.reset();
}

// --- Mms ---------------------------------------------------------------------------------------

MaybeRefusal MachineEntry::CheckRoomLocked() const {
  if (limits_.max_mms != 0 && mms_.size() + mms_coming_ >= limits_.max_mms) {
    return LimitReached("", "Limits.max_mms", limits_.max_mms);
  }
  return {};
}

OrRefusal<MmUse> MachineEntry::CreateMm(const MmOptions& options, MmEntry::Options entry) {
  {
    const absl::MutexLock lock(&mutex_);
    if (MaybeRefusal refusal = CheckRoomLocked()) return *std::move(refusal);
    ++mms_coming_;
  }
  Result<Mm*> mm = machine_->CreateMm(options);
  if (!mm.ok()) {
    const absl::MutexLock lock(&mutex_);
    --mms_coming_;
    return LimitReached("", "frames of the machine", machine_->frames().total_frames());
  }
  return Register(**mm, std::move(entry));
}

OrRefusal<Result<MmUse>> MachineEntry::ForkMm(MmEntry& parent, MmLife life) {
  {
    const absl::MutexLock lock(&mutex_);
    if (MaybeRefusal refusal = CheckRoomLocked()) return *std::move(refusal);
    ++mms_coming_;
  }
  Result<Mm*> mm = parent.mm().Fork();
  if (!mm.ok()) {
    const absl::MutexLock lock(&mutex_);
    --mms_coming_;
    return Result<MmUse>(mm.error());
  }
  MmEntry::Options entry{
      .number = 0, .description = {}, .parent_number = parent.options().number, .life = life};
  return Result<MmUse>(Register(**mm, std::move(entry)));
}

MmUse MachineEntry::Register(Mm& mm, MmEntry::Options entry) {
  std::shared_ptr<MmEntry> made;
  bool closed = false;
  {
    const absl::MutexLock lock(&mutex_);
    --mms_coming_;
    entry.number = epoch_.NumberOf(++last_mm_);
    const uint64_t number = entry.number;
    made = std::make_shared<MmEntry>(shared_from_this(), mm, std::move(entry));
    mms_.emplace(number, made);
    closed = closed_;
  }
  MmUse use = made->TryUse();
  // Close did not see it. The caller finds an mm that is exiting.
  if (closed) (void)made->Exit({});
  return use;
}

OrRefusal<MmUse> MachineEntry::UseMm(uint64_t number, std::string_view field) {
  std::shared_ptr<MmEntry> entry;
  {
    const absl::ReaderMutexLock lock(&mutex_);
    const auto found = mms_.find(number);
    if (found != mms_.end()) entry = found->second;
  }
  if (entry == nullptr) {
    if (!epoch_.Gave(number)) return OtherInstance(field, MmName(id(), number));
    return NotFound(field, MmName(id(), number), "an mm");
  }
  MmUse use = entry->TryUse();
  if (!use) return MmExited(field, entry->name());
  return use;
}

std::vector<std::shared_ptr<MmEntry>> MachineEntry::MmsFrom(uint64_t number, size_t max) const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<std::shared_ptr<MmEntry>> mms;
  for (auto at = mms_.lower_bound(number); at != mms_.end() && mms.size() < max; ++at) {
    mms.push_back(at->second);
  }
  return mms;
}

size_t MachineEntry::mm_count() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return mms_.size();
}

void MachineEntry::Close() {
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  ExitAll([] {});
}

// NOLINTNEXTLINE(readability-make-member-function-const): it ends what the entry has
void MachineEntry::ExitAll(const std::function<void()>& done) {
  const std::vector<std::shared_ptr<MmEntry>> mms = MmsFrom(0, SIZE_MAX);
  // One more than there are mms: this call's own, so that `done` comes after the loop.
  auto left = std::make_shared<std::atomic<size_t>>(mms.size() + 1);
  const auto one_is_gone = [left, done] {
    if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) done();
  };
  for (const auto& mm : mms) {
    if (!mm->Exit(one_is_gone)) mm->WhenGone(one_is_gone);
  }
  one_is_gone();
}

void MachineEntry::Forget(const MmEntry& mm) {
  std::shared_ptr<MmEntry> entry;  // ends after the lock
  const absl::MutexLock lock(&mutex_);
  const auto found = mms_.find(mm.options().number);
  entry = std::move(found->second);
  mms_.erase(found);
}

// --- Files -------------------------------------------------------------------------------------

OrRefusal<MachineEntry::File> MachineEntry::CreateFile(const std::string& path, uint64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  if (limits_.max_files != 0 && files_.size() >= limits_.max_files) {
    return LimitReached("parent", "Limits.max_files", limits_.max_files);
  }
  Result<Mapping*> mapping = machine_->CreateFile(path, bytes);
  if (!mapping.ok()) {
    return Refusal{.reason = v1::ERROR_REASON_HOST_MEMORY,
                   .allowed = "less than the host's memory"};
  }
  const uint64_t number = epoch_.NumberOf(++last_file_);
  FileRef ref(**mapping);
  File file{.number = number, .bytes = bytes, .ref = ref.Clone()};
  numbers_.emplace(*mapping, number);
  files_.emplace(number, FileEntry{.bytes = bytes, .ref = std::move(ref)});
  return file;
}

OrRefusal<MachineEntry::File> MachineEntry::FindFile(uint64_t number,
                                                     std::string_view field) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = files_.find(number);
  if (found == files_.end()) {
    if (!epoch_.Gave(number)) return OtherInstance(field, FileName(id(), number));
    return NotFound(field, FileName(id(), number), "a file");
  }
  return File{.number = number, .bytes = found->second.bytes, .ref = found->second.ref.Clone()};
}

std::optional<FileRef> MachineEntry::FileOf(uint64_t number) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = files_.find(number);
  if (found == files_.end()) return {};
  return found->second.ref.Clone();
}

MaybeRefusal MachineEntry::DeleteFile(uint64_t number, std::string_view field) {
  OrRefusal<File> file = FindFile(number, field);
  if (!file.ok()) return std::move(file.refusal());
  FileRef last;  // ends after the lock
  const absl::MutexLock lock(&mutex_);
  const auto found = files_.find(number);
  if (found == files_.end()) return NotFound(field, FileName(id(), number), "a file");
  last = std::move(found->second.ref);
  numbers_.erase(&last.mapping());
  files_.erase(found);
  return {};
}

std::vector<MachineEntry::File> MachineEntry::FilesFrom(uint64_t number, size_t max) const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<File> files;
  for (auto at = files_.lower_bound(number); at != files_.end() && files.size() < max; ++at) {
    files.push_back(
        File{.number = at->first, .bytes = at->second.bytes, .ref = at->second.ref.Clone()});
  }
  return files;
}

uint64_t MachineEntry::NumberOf(const Mapping* mapping) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = numbers_.find(mapping);
  return found == numbers_.end() ? 0 : found->second;
}

void MachineEntry::WhenGone(std::function<void()> done) {
  const absl::MutexLock lock(&mutex_);
  when_gone_.push_back(std::move(done));
}

std::vector<std::function<void()>> MachineEntry::TakeWaiters() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(when_gone_, {});
}

}  // namespace faultline::server
