// SPDX-License-Identifier: Apache-2.0
//
// Native tasks: attaching threads, and the futex parker behind Task::Park and Unpark.
//
// The parker has three states: empty, a token is there, and parked. Park takes a token with one
// subtraction; only a task that finds none sleeps in the kernel, and only then does Unpark pay for
// a futex call. (The same protocol as in other user-level parkers; Linux's own is
// wait_woken()/wake_up_process().)
#include "core/sync/task.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "core/base/check.h"
#include "core/sync/lock_stats.h"
#include "core/sync/native/task_registry.h"
#include "core/sync/rcu.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

constexpr uint32_t kEmpty = 0;
constexpr uint32_t kToken = 1;
constexpr uint32_t kParked = UINT32_MAX;  // kEmpty - 1: Park's subtraction takes the step

static_assert(sizeof(Atomic<uint32_t>) == sizeof(uint32_t), "the futex word is the atomic itself");

void FutexWait(const Atomic<uint32_t>& word, uint32_t expected) {
  const long result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
  MM_CHECK(result == 0 || errno == EAGAIN || errno == EINTR);
}

void FutexWakeOne(const Atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

/// Attaches on construction, detaches when the thread ends.
struct Attachment {
  Task& task = TaskRegistry::Instance().Attach();
  Attachment() = default;
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment() {
    detail::tls_task = nullptr;
    TaskRegistry::Instance().Detach(task);
  }
};

}  // namespace

void Task::Park(SourceLoc where) {
  Task& self = CurrentTask();
  MM_DCHECK_EQ(self.no_wait, 0u);
  MaySleep("park", where);
  // Acquire, on every path that takes a token: pairs with the release in Unpark. Release: what this
  // thread did as the task comes before what a borrower does, who looks with IsParked.
  if (self.token_.FetchSub(1, kAcqRel) == kToken) return;
  while (true) {
    FutexWait(self.token_, kParked);
    uint32_t expected = kToken;
    if (self.token_.CompareExchange(expected, kEmpty, kAcquire, kRelaxed)) return;
  }
}

bool Task::IsParked() const {
  return token_.Load(kAcquire) == kParked;  // pairs with Park
}

void Task::Unpark(SourceLoc /*where*/) {
  // Release: what the waker did before is visible to the task that takes the token.
  if (token_.Exchange(kToken, kRelease) == kParked) FutexWakeOne(token_);
}

void Task::Kill() {
  killed_.Store(1, kRelease);  // pairs with killed()
  Unpark();
}

void NameCurrentTask(std::string_view name) {
  TaskRegistry::Instance().SetName(CurrentTask(), name);
}

namespace detail {

uint16_t ActivityOfTask(uint32_t id) {
  const Task* task = TaskRegistry::Instance().Find(id);
  return task != nullptr ? task->activity() : uint16_t{0};
}

Task& AttachThread() {
  static thread_local Attachment attachment;
  tls_task = &attachment.task;
  return attachment.task;
}

}  // namespace detail

// -- TaskRegistry ---------------------------------------------------------------------------------

TaskRegistry& TaskRegistry::Instance() {
  // Leaked on purpose: threads may detach after static destruction has begun.
  static TaskRegistry& registry = *new TaskRegistry;
  return registry;
}

Task& TaskRegistry::Attach() {
  // liburcu registers its own callback threads, which get here when a callback takes a lock.
  if (!URCU_TLS(urcu_memb_reader).registered) urcu_memb_register_thread();
  const std::lock_guard guard(mutex_);
  if (free_.empty()) {
    MM_CHECK_LT(tasks_.size(), kMaxTasks);
    Task& task = tasks_.emplace_back();
    task.id_ = static_cast<uint32_t>(tasks_.size());
    task.cpu_ = task.id_ - 1;
    task.random_.seed(task.id_);
    task.stats = &stats_.emplace_back();
    task.set_hooks(HooksAndEra());
    by_id_[task.id_ - 1].store(&task, kRelease);  // pairs with Find
    return task;
  }
  Task& task = *free_.back();
  free_.pop_back();
  task.set_hooks(HooksAndEra());
  return task;
}

void TaskRegistry::Detach(Task& task) {
  task.DropStaleHolds();
  // With tracking off the chain may name locks that were released since.
  MM_CHECK(task.held.size() == 0 || (task.hooks() & kHooksThatTrack) == 0);
  task.held.Clear();
  urcu_memb_unregister_thread();
  const std::lock_guard guard(mutex_);
  task.name_ = "task";
  task.killed_.Store(0, kRelaxed);  // relaxed: the mutex hands the task to its next thread
  task.SetActivity(0);
  task.fault_events = nullptr;
  task.longest_wait = {};
  free_.push_back(&task);
}

void TaskRegistry::SetName(Task& task, std::string_view name) {
  const std::lock_guard guard(mutex_);
  task.name_ = name;
}

void TaskRegistry::SetHooks(uint32_t hooks) {
  const std::lock_guard guard(mutex_);
  if ((hooks_ & kHooksThatTrack) == 0 && (hooks & kHooksThatTrack) != 0) ++era_;
  hooks_ = hooks;
  for (Task& task : tasks_) task.set_hooks(HooksAndEra());
}

uint32_t TaskRegistry::hooks() {
  const std::lock_guard guard(mutex_);
  return hooks_;
}

Task* TaskRegistry::Find(uint32_t id) const {
  return id != 0 && id <= kMaxTasks ? by_id_[id - 1].load(kAcquire) : nullptr;  // pairs with Attach
}

void TaskRegistry::ForEachStats(const std::function<void(LockStatsShard&)>& visit) {
  const std::lock_guard guard(mutex_);
  for (LockStatsShard& shard : stats_) visit(shard);
}

}  // namespace faultline
