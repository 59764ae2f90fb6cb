// SPDX-License-Identifier: Apache-2.0
//
// Machines by name; see registry.h.
#include "server/registry.h"

#include <utility>

#include <absl/time/clock.h>

#include "server/names.h"

namespace faultline::server {

Registry::Registry(const Limits& limits, const Epoch& epoch, WorkerPool& pool)
    : limits_(limits), epoch_(epoch), pool_(pool) {
  const absl::MutexLock lock(&mutex_);
  MakeDefaultLocked();
}

Registry::~Registry() = default;

void Registry::Close() {
  std::map<std::string, Entry, std::less<>> machines;
  {
    const absl::MutexLock lock(&mutex_);
    machines.swap(machines_);
  }
  for (const auto& [id, machine] : machines) machine->Close();
  machines.clear();
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Registry::NothingIsLeftLocked));
}

// --- Machines ----------------------------------------------------------------------------------

OrRefusal<Registry::Entry> Registry::CreateMachine(std::string id, const MachineOptions& options,
                                                   std::string description) {
  const absl::MutexLock lock(&mutex_);
  if (id.empty()) id = FreeIdLocked();
  if (MaybeRefusal refusal = CheckRoomLocked(id, options.memory_bytes)) {
    return *std::move(refusal);
  }
  return MakeLocked(std::move(id), options, std::move(description));
}

MaybeRefusal Registry::CheckRoomLocked(std::string_view id, uint64_t bytes) const {
  if (machines_.contains(id)) return AlreadyExists("machine_id", id);
  if (limits_.max_machines != 0 && alive_ >= limits_.max_machines) {
    return LimitReached("", "Limits.max_machines", limits_.max_machines);
  }
  const uint64_t all = limits_.max_memory_bytes;
  if (all != 0 && (bytes > all || memory_bytes_ > all - bytes)) {
    return LimitReached("machine.memory_bytes", "Limits.max_memory_bytes", all);
  }
  return {};
}

OrRefusal<Registry::Entry> Registry::MakeLocked(std::string id, const MachineOptions& options,
                                                std::string description) {
  Result<std::unique_ptr<Machine>> machine = Machine::Create(options);
  if (!machine.ok()) {
    return Refusal{.reason = v1::ERROR_REASON_HOST_MEMORY,
                   .field = "machine.memory_bytes",
                   .value = std::to_string(options.memory_bytes),
                   .allowed = "what the host has room for"};
  }
  MachineEntry::Options entry_options{.id = id,
                                      .machine = options,
                                      .description = std::move(description),
                                      .create_time = absl::Now()};
  // The last reference may go where nobody may sleep, and a machine's end waits for grace periods.
  const auto end_on_a_worker = [this, bytes = options.memory_bytes](MachineEntry* entry) {
    pool_.Post([this, entry, bytes] {
      const auto waiters = entry->TakeWaiters();
      delete entry;
      MachineIsGone(bytes);
      for (const auto& done : waiters) done();
    });
  };
  Entry entry(
      new MachineEntry(std::move(entry_options), *std::move(machine), limits_, epoch_, pool_),
      end_on_a_worker);
  ++alive_;
  memory_bytes_ += options.memory_bytes;
  machines_.emplace(std::move(id), entry);
  return entry;
}

std::string Registry::FreeIdLocked() {
  std::string id;
  do {
    id = "m" + std::to_string(++last_id_);
  } while (machines_.contains(id));
  return id;
}

void Registry::MakeDefaultLocked() {
  // Beyond the limits' sums if need be: without it no name would be safe to rely on.
  OrRefusal<Entry> made =
      MakeLocked(std::string(kDefaultMachine), MachineOptions{}, "made by the server");
  (void)made;
}

void Registry::MachineIsGone(uint64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  --alive_;
  memory_bytes_ -= bytes;
}

Registry::Entry Registry::Find(std::string_view id) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = machines_.find(id);
  return found == machines_.end() ? nullptr : found->second;
}

OrRefusal<Registry::Entry> Registry::FindMachine(std::string_view name,
                                                 std::string_view field) const {
  const auto id = ParseMachineName(name);
  if (!id) return InvalidName(field, name, "machines/M");
  Entry entry = Find(*id);
  if (entry == nullptr) return NotFound(field, name, "a machine");
  return entry;
}

std::vector<Registry::Entry> Registry::MachinesFrom(const std::string& id, size_t max) const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<Entry> machines;
  for (auto at = machines_.lower_bound(id); at != machines_.end() && machines.size() < max; ++at) {
    machines.push_back(at->second);
  }
  return machines;
}

MaybeRefusal Registry::DeleteMachine(std::string_view name, std::string_view field, Force force,
                                     std::function<void()> done) {
  OrRefusal<Entry> found = FindMachine(name, field);
  if (!found.ok()) return std::move(found.refusal());
  Entry machine = *std::move(found);
  {
    const absl::MutexLock lock(&mutex_);
    const auto at = machines_.find(machine->id());
    if (at == machines_.end() || at->second != machine) return NotFound(field, name, "a machine");
    if (force == Force::kNo && machine->mm_count() != 0) {
      return Refusal{.reason = v1::ERROR_REASON_IN_USE,
                     .field = std::string(field),
                     .value = std::string(name),
                     .allowed = "a machine without mms, or force"};
    }
    machines_.erase(at);
    if (machine->id() == kDefaultMachine) MakeDefaultLocked();
  }
  machine->WhenGone(std::move(done));
  machine->Close();
  return {};
}

// --- By name -----------------------------------------------------------------------------------

OrRefusal<MmUse> Registry::UseMm(std::string_view name, std::string_view field) const {
  const auto mm = ParseMmName(name);
  if (!mm) return InvalidName(field, name, "machines/M/mms/I");
  const Entry machine = Find(mm->machine);
  if (machine == nullptr) {
    if (!epoch_.Gave(mm->number)) return OtherInstance(field, name);
    return NotFound(field, name, "a machine");
  }
  return machine->UseMm(mm->number, field);
}

OrRefusal<NamedFile> Registry::FindFile(std::string_view name, std::string_view field) const {
  const auto parsed = ParseFileName(name);
  if (!parsed) return InvalidName(field, name, "machines/M/files/F");
  Entry machine = Find(parsed->machine);
  if (machine == nullptr) {
    if (!epoch_.Gave(parsed->number)) return OtherInstance(field, name);
    return NotFound(field, name, "a machine");
  }
  OrRefusal<MachineEntry::File> file = machine->FindFile(parsed->number, field);
  if (!file.ok()) return std::move(file.refusal());
  return NamedFile{.machine = std::move(machine), .file = *std::move(file)};
}

OrRefusal<MachineEntry::File> Registry::FindFileOf(MachineEntry& machine, std::string_view name,
                                                   std::string_view field) const {
  OrRefusal<NamedFile> found = FindFile(name, field);
  if (!found.ok()) return std::move(found.refusal());
  if (found->machine.get() != &machine) {
    return OutOfRange(field, name, "a file of " + MachineName(machine.id()));
  }
  return std::move(found->file);
}

// --- Sums --------------------------------------------------------------------------------------

OrRefusal<ThreadPlace> Registry::AddThread() {
  const uint64_t before = threads_.fetch_add(1, std::memory_order_relaxed);
  ThreadPlace place(threads_);
  if (limits_.max_threads != 0 && before >= limits_.max_threads) {
    return LimitReached("", "Limits.max_threads", limits_.max_threads);
  }
  return place;
}

uint64_t Registry::memory_bytes() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return memory_bytes_;
}

size_t Registry::machine_count() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return machines_.size();
}

}  // namespace faultline::server
