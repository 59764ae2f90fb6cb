// SPDX-License-Identifier: Apache-2.0
//
// Uses and ends of mms; see mm_entry.h.
#include "server/mm_entry.h"

#include "core/sync/rcu.h"
#include "server/machine_entry.h"
#include "server/names.h"

namespace faultline::server {

MmEntry::MmEntry(std::shared_ptr<MachineEntry> machine, Mm& mm, Options options)
    : machine_(std::move(machine)),
      mm_(mm),
      options_(std::move(options)),
      name_(MmName(machine_->id(), options_.number)) {}

MmEntry::~MmEntry() = default;

MmUse MmEntry::TryUse() {
  uint64_t uses = uses_.load(std::memory_order_relaxed);
  do {
    if ((uses & kExiting) != 0) return MmUse();
    // Acquire pairs with whoever published the entry; the mutex of its machine does that, too.
  } while (!uses_.compare_exchange_weak(uses, uses + 1, std::memory_order_acquire,
                                        std::memory_order_relaxed));
  return MmUse(shared_from_this());
}

bool MmEntry::exiting() const { return (uses_.load(std::memory_order_acquire) & kExiting) != 0; }

bool MmEntry::Exit(std::function<void()> done) {
  if ((uses_.fetch_or(kExiting, std::memory_order_acq_rel) & kExiting) != 0) return false;
  mm_.Exit();  // the entry is still a user; its threads' killable waits end, now and later
  {
    const absl::MutexLock lock(&mutex_);
    if (done) when_gone_.push_back(std::move(done));
    for (const auto& [id, thread] : threads_) thread->Kill();
  }
  DropUse();
  return true;
}

void MmEntry::WhenGone(std::function<void()> done) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!gone_) {
      when_gone_.push_back(std::move(done));
      return;
    }
  }
  done();
}

MaybeRefusal MmEntry::AddThread(const std::string& id, MmThread& thread) {
  const absl::MutexLock lock(&mutex_);
  if (!threads_.emplace(id, &thread).second) return AlreadyExists("open.thread_id", id);
  if (exiting()) thread.Kill();
  return {};
}

void MmEntry::RemoveThread(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  threads_.erase(id);
}

size_t MmEntry::thread_count() const {
  const absl::MutexLock lock(&mutex_);
  return threads_.size();
}

std::vector<MmThreadInfo> MmEntry::Threads() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<MmThreadInfo> infos;
  infos.reserve(threads_.size());
  for (const auto& [id, thread] : threads_) {
    infos.push_back({.id = id, .task = thread->task(), .events = thread->events()});
  }
  return infos;
}

void MmEntry::DropHolder() {
  // Release: what a holder did comes before the exit; acquire: the last one sees all of it.
  if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) (void)Exit({});
}

void MmEntry::DropUse() {
  // As in DropHolder, and before the teardown.
  if (uses_.fetch_sub(1, std::memory_order_acq_rel) != kExiting + 1) return;
  machine_->pool().Post([entry = shared_from_this()] { entry->TearDown(); });
}

void MmEntry::TearDown() {
  mm_.DropUser();  // the last one: everything is freed
  machine_->Forget(*this);
  std::vector<std::function<void()>> when_gone;
  {
    const absl::MutexLock lock(&mutex_);
    gone_ = true;
    when_gone.swap(when_gone_);
  }
  // Page tables are free when RCU's callbacks have run, and whoever waits was promised that they
  // are.
  if (!when_gone.empty()) Rcu::Barrier();
  for (const auto& done : when_gone) done();
}

}  // namespace faultline::server
