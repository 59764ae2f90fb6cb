// SPDX-License-Identifier: Apache-2.0
//
// Making and ending of simulated threads; see simulated_thread.h.
#include "server/simulated_thread.h"

#include <bit>
#include <utility>

#include <absl/time/clock.h>

#include "server/mm_message.h"
#include "server/names.h"

namespace faultline::server {
namespace {

constexpr size_t kMaxGroupName = 63;

MaybeRefusal Check(const v1::AttachOpen& open, const Limits& limits) {
  if (open.mm().empty() && open.machine().empty()) return MissingField("open.mm", "mm or machine");
  if (!open.mm().empty() && !open.machine().empty()) {
    return OutOfRange("open.machine", open.machine(), "nothing beside open.mm");
  }
  if (!open.thread_id().empty() && !IsId(open.thread_id())) {
    return InvalidName("open.thread_id", open.thread_id(), kIdForm);
  }
  if (open.progress_group().size() > kMaxGroupName) {
    return OutOfRange("open.progress_group", open.progress_group(), "at most 63 bytes");
  }
  const uint64_t ring = open.event_ring();
  if (ring != 0 && (!std::has_single_bit(ring) || ring > limits.max_event_ring)) {
    return OutOfRange("open.event_ring", ring,
                      "0, or a power of two up to " + std::to_string(limits.max_event_ring));
  }
  return {};
}

/// The mm that it attaches to, or a new one.
OrRefusal<MmUse> UseOrMake(Registry& registry, const v1::AttachOpen& open) {
  if (open.machine().empty()) return registry.UseMm(open.mm(), "open.mm");
  auto machine = registry.FindMachine(open.machine(), "open.machine");
  if (!machine.ok()) return std::move(machine.refusal());
  return CreateMm(**machine, open.new_mm(), MmLife::kWithThreads, "open.new_mm");
}

std::string NextId() {
  static std::atomic<uint64_t> last{0};  // unique in the process, and so in every mm
  return "t" + std::to_string(last.fetch_add(1, std::memory_order_relaxed) + 1);
}

}  // namespace

OrRefusal<std::unique_ptr<SimulatedThread>> SimulatedThread::Create(Registry& registry,
                                                                    const v1::AttachOpen& open) {
  if (MaybeRefusal refusal = Check(open, registry.limits())) return *std::move(refusal);
  OrRefusal<ThreadPlace> place = registry.AddThread();
  if (!place.ok()) return std::move(place.refusal());
  OrRefusal<MmUse> use = UseOrMake(registry, open);
  if (!use.ok()) return std::move(use.refusal());

  std::unique_ptr<SimulatedThread> thread(new SimulatedThread(*std::move(use), *std::move(place)));
  if (open.event_ring() != 0) {
    thread->events_ = std::make_shared<FaultEventRing>(open.event_ring());
  }
  if (MaybeRefusal refusal = thread->List(open.thread_id())) return *std::move(refusal);
  // The last step, since a number in a group stays taken.
  if (MaybeRefusal refusal = thread->Join(open)) return *std::move(refusal);
  return thread;
}

SimulatedThread::SimulatedThread(MmUse use, ThreadPlace place)
    : use_(std::move(use)), place_(std::move(place)) {
  if (entry().exits_with_threads()) entry().AddHolder();
}

MaybeRefusal SimulatedThread::List(const std::string& id) {
  MaybeRefusal refusal;
  do {  // a client may have chosen what the server would have
    id_ = id.empty() ? NextId() : id;
    refusal = entry().AddThread(id_, *this);
  } while (refusal && id.empty());
  listed_ = !refusal;
  return refusal;
}

MaybeRefusal SimulatedThread::Join(const v1::AttachOpen& open) {
  if (open.progress_group().empty()) return {};
  auto member = machine().progress_groups().Join(open.progress_group(), open.progress_number());
  if (!member.ok()) return std::move(member.refusal());
  const absl::MutexLock lock(&mutex_);
  progress_ = *std::move(member);
  if (killed()) progress_->Kill();
  return {};
}

SimulatedThread::~SimulatedThread() {
  if (listed_) entry().RemoveThread(id_);
  progress_.reset();
  for (const auto& child : held_) child->DropHolder();
  if (entry().exits_with_threads()) entry().DropHolder();
}

void SimulatedThread::Enter() {
  Task& self = CurrentTask();
  task_id_.store(self.id(), std::memory_order_relaxed);
  if (events_ != nullptr) recording_.emplace(events_.get());
  mm().AttachTask(self);
  const absl::MutexLock lock(&mutex_);
  running_ = &self;
  if (killed()) self.Kill();
}

void SimulatedThread::Leave() {
  {
    const absl::MutexLock lock(&mutex_);
    running_ = nullptr;
  }
  Task& self = CurrentTask();
  mm().DetachTask(self);
  self.ClearKill();
  recording_.reset();
}

void SimulatedThread::Kill() {
  const absl::MutexLock lock(&mutex_);
  // Release pairs with killed: who sees it also sees why.
  killed_.store(true, std::memory_order_release);
  if (running_ != nullptr) running_->Kill();
  if (progress_ != nullptr) progress_->Kill();
  kill_.SignalAll();
}

bool SimulatedThread::SleepUntil(absl::Time until) {
  const absl::MutexLock lock(&mutex_);
  while (!killed()) {
    if (kill_.WaitWithDeadline(&mutex_, until)) return !killed();
  }
  return false;
}

absl::Time SimulatedThread::ClockBegan() {
  if (progress_ != nullptr) return progress_->ClockBegan();
  if (!clock_began_) clock_began_ = absl::Now();
  return *clock_began_;
}

void SimulatedThread::Hold(const MmUse& child) {
  if (!child.entry().exits_with_threads()) return;
  child.entry().AddHolder();
  held_.push_back(child.entry().shared_from_this());
}

std::string SimulatedThread::name() const { return ThreadNameOf(use_.entry().name(), id_); }

}  // namespace faultline::server
