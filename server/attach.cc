// SPDX-License-Identifier: Apache-2.0
//
// A stream's course; see attach.h.
#include "server/attach.h"

#include <utility>

#include "core/sync/native/task_loan.h"
#include "proto/columns/batch_check.h"
#include "server/memory_service.h"

namespace faultline::server {
namespace {

Refusal Protocol(const char* field, const char* allowed) {
  return {.reason = v1::ERROR_REASON_PROTOCOL, .field = field, .allowed = allowed};
}

Refusal OfProblem(const v1::ErrorDetail& problem) {
  return {.reason = problem.reason(),
          .field = problem.field(),
          .value = problem.value(),
          .allowed = problem.allowed()};
}

}  // namespace

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* MemoryService::Attach(
    Context* context) {
  return new AttachStream(calls_, streams_, *context);
}

void AttachStreams::Drain() {
  const absl::MutexLock lock(&mutex_);
  draining_ = true;
  for (AttachStream* stream : streams_) stream->Drain();
}

void AttachStreams::Add(AttachStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.insert(&stream);
  if (draining_) stream.Drain();
}

void AttachStreams::Remove(AttachStream& stream) {
  const absl::MutexLock lock(&mutex_);
  streams_.erase(&stream);
}

AttachStream::AttachStream(Calls& calls, AttachStreams& streams,
                           grpc::CallbackServerContext& context)
    : calls_(calls),
      streams_(streams),
      not_admitted_(calls.Admit(context, v1::AttachRequest::default_instance())),
      context_(context) {
  Next next;
  {
    const absl::MutexLock lock(&mutex_);
    const uint64_t slots = calls.registry().limits().max_batches_in_flight;
    for (uint64_t i = 0; i < slots; ++i) {
      slots_.push_back(std::make_unique<Slot>());
      slots_.back()->response.set_instance_epoch(calls.registry().epoch().value());
      free_.push_back(slots_.back().get());
    }
    if (not_admitted_) EndInputLocked(not_admitted_);
    next = NextLocked();
  }
  streams_.Add(*this);
  Do(next);
}

void AttachStream::OnDone() {
  streams_.Remove(*this);
  delete this;
}

void AttachStream::Drain() {
  Next next;
  {
    const absl::MutexLock lock(&mutex_);
    EndInputLocked(Draining());
    // What was read but not begun is not carried out; the batch under way is, and is answered.
    const auto first = to_run_.begin() + (HasBegunLocked() ? 1 : 0);
    free_.insert(free_.end(), first, to_run_.end());
    to_run_.erase(first, to_run_.end());
    next = NextLocked();
  }
  Do(next);
}

// --- What gRPC says ----------------------------------------------------------------------------

void AttachStream::OnReadDone(bool ok) {
  Next next;
  Borrowed borrowed;
  {
    const absl::MutexLock lock(&mutex_);
    Slot& slot = *std::exchange(reading_, nullptr);
    if (!ok) {
      free_.push_back(&slot);
      EndInputLocked({});
    } else if (input_ended_) {
      free_.push_back(&slot);
    } else if (MaybeRefusal refusal = TakeRequestLocked(slot)) {
      free_.push_back(&slot);
      EndInputLocked(std::move(refusal));
    } else {
      borrowed = BorrowLocked();
      // Whoever has borrowed the task looks for more when it is through (RunBorrowed).
      if (borrowed.slot == nullptr && !lent_) WakeExecutorLocked();
    }
    // What was borrowed is carried out first: it takes less time than reading on.
    if (borrowed.slot == nullptr) next = NextLocked();
  }
  if (borrowed.slot != nullptr) {
    RunBorrowed(borrowed);
  } else {
    Do(next);
  }
}

void AttachStream::OnWriteDone(bool ok) {
  Next next;
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
    free_.push_back(to_write_.front());
    to_write_.pop_front();
    if (!ok) {  // nobody is there to read the rest
      EndInputLocked({});
      free_.insert(free_.end(), to_write_.begin(), to_write_.end());
      to_write_.clear();
    }
    next = NextLocked();
  }
  Do(next);
}

void AttachStream::OnCancel() {
  const absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (thread_ != nullptr) thread_->Kill();
  EndInputLocked({});
}

// --- Requests ----------------------------------------------------------------------------------

MaybeRefusal AttachStream::TakeRequestLocked(Slot& slot) {
  if (!opened_) {
    if (!slot.request.has_open()) return Protocol("request", "an opening first");
    return OpenLocked(slot);
  }
  if (!slot.request.has_batch()) return Protocol("request", "batches behind the opening");
  return TakeBatchLocked(slot);
}

MaybeRefusal AttachStream::OpenLocked(Slot& slot) {
  const v1::AttachOpen& open = slot.request.open();
  if (MaybeRefusal refusal =
          calls_.CheckRouting(context_, open.machine().empty() ? open.mm() : open.machine())) {
    return refusal;
  }
  auto thread = SimulatedThread::Create(calls_.registry(), open);
  if (!thread.ok()) return std::move(thread.refusal());
  // It begins with mutex_, so it finds what is set here.
  if (!streams_.executors().TryPost([this] { Execute(); })) {
    return NoThreadForIt("Limits.max_threads", calls_.registry().limits().max_threads);
  }
  thread_ = *std::move(thread);
  if (cancelled_) thread_->Kill();
  opened_ = true;
  executing_ = true;
  to_run_.push_back(&slot);
  return {};
}

MaybeRefusal AttachStream::TakeBatchLocked(Slot& slot) {
  const Limits& limits = calls_.registry().limits();
  const columns::BatchLimits batch_limits{.max_operations =
                                              static_cast<uint32_t>(limits.max_batch_operations)};
  if (const auto problem = columns::WhyBad(slot.request.batch(), batch_limits)) {
    return OfProblem(*problem);
  }
  to_run_.push_back(&slot);
  return {};
}

void AttachStream::EndInputLocked(MaybeRefusal why) {
  if (!input_ended_) status_ = std::move(why);
  input_ended_ = true;
  WakeExecutorLocked();
}

void AttachStream::WakeExecutorLocked() {
  if (executor_ != nullptr) executor_->Unpark();
}

// --- The executor ------------------------------------------------------------------------------

void AttachStream::Execute() {
  {
    const absl::MutexLock lock(&mutex_);
    executor_ = &CurrentTask();
  }
  thread_->Enter();
  while (Slot* const slot = AwaitBatch()) {
    if (slot->request.has_open()) {
      Opened(*slot->response.mutable_opened());
    } else {
      (void)Run(*thread_, *slot, Patience::kMayWait);  // to its end
    }
    Answered(*slot);
  }
  thread_->Leave();
  std::unique_ptr<SimulatedThread> gone;
  {
    const absl::MutexLock lock(&mutex_);
    executor_ = nullptr;
    gone = std::move(thread_);
  }
  gone.reset();  // its place and its mm's, before the client learns of it
  Next next;
  {
    const absl::MutexLock lock(&mutex_);
    executing_ = false;
    next = NextLocked();
  }
  Do(next);
}

bool AttachStream::Run(SimulatedThread& thread, Slot& slot, Patience patience) {
  if (!slot.run) slot.run.emplace(thread, slot.request.batch(), *slot.response.mutable_results());
  if (!slot.run->Continue(patience)) return false;
  slot.run.reset();
  return true;
}

AttachStream::Borrowed AttachStream::BorrowLocked() {
  // With more the transport would be kept from other calls for longer than a thread takes to wake.
  constexpr uint32_t kMostOperations = 64;
  if (lent_ || to_run_.empty() || executor_ == nullptr || !TaskLoan::IsPossible(*executor_)) {
    return {};
  }
  Slot& slot = *to_run_.front();
  if (slot.run || !slot.request.has_batch() ||
      slot.request.batch().operations() > kMostOperations || thread_->killed()) {
    return {};
  }
  to_run_.pop_front();
  lent_ = true;
  return {.slot = &slot, .task = executor_, .thread = thread_.get()};
}

void AttachStream::RunBorrowed(Borrowed borrowed) {
  while (borrowed.slot != nullptr) {
    bool ended = false;
    {
      const TaskLoan loan(*borrowed.task);
      ended = Run(*borrowed.thread, *borrowed.slot, Patience::kNoWait);
    }
    Next next;
    {
      const absl::MutexLock lock(&mutex_);
      lent_ = false;
      if (ended) {
        to_write_.push_back(borrowed.slot);
      } else {
        to_run_.push_front(borrowed.slot);
      }
      borrowed = BorrowLocked();
      if (borrowed.slot == nullptr && (!to_run_.empty() || input_ended_)) WakeExecutorLocked();
      next = NextLocked();
    }
    Do(next);
  }
}

void AttachStream::Opened(v1::AttachOpened& opened) const {
  const Limits& limits = calls_.registry().limits();
  opened.set_thread(thread_->name());
  opened.set_task(thread_->task());
  opened.set_max_batch_operations(static_cast<uint32_t>(limits.max_batch_operations));
  opened.set_max_batches_in_flight(static_cast<uint32_t>(limits.max_batches_in_flight));
}

AttachStream::Slot* AttachStream::AwaitBatch() {
  while (true) {
    if (const auto slot = NextBatch()) return *slot;
    Task::Park();
  }
}

std::optional<AttachStream::Slot*> AttachStream::NextBatch() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &AttachStream::NotLent));
  // A killed thread begins nothing any more.
  if (thread_->killed() && !HasBegunLocked()) {
    EndInputLocked({});
    // Even if the client has closed its side: not all that it sent was carried out.
    if (thread_->exiting() && !status_) status_ = MmExited("open.mm", thread_->entry().name());
    return nullptr;
  }
  if (to_run_.empty()) return input_ended_ ? std::optional<Slot*>(nullptr) : std::nullopt;
  Slot* const slot = to_run_.front();
  to_run_.pop_front();
  return slot;
}

void AttachStream::Answered(Slot& slot) {
  Next next;
  {
    const absl::MutexLock lock(&mutex_);
    to_write_.push_back(&slot);
    next = NextLocked();
  }
  Do(next);
}

// --- What comes next ---------------------------------------------------------------------------

AttachStream::Next AttachStream::NextLocked() {
  Next next;
  if (!writing_ && !to_write_.empty()) {
    writing_ = true;
    next.write = to_write_.front();
  }
  if (!input_ended_ && reading_ == nullptr && !free_.empty()) {
    reading_ = free_.back();
    free_.pop_back();
    next.read = reading_;
  }
  if (input_ended_ && !executing_ && to_write_.empty() && !finished_) {
    finished_ = true;
    next.finish = true;
  }
  return next;
}

void AttachStream::Do(const Next& next) {
  // Finish is the last step: with its end gRPC may delete this.
  if (next.read != nullptr) StartRead(&next.read->request);
  if (next.write != nullptr) StartWrite(&next.write->response);
  if (!next.finish) return;
  MaybeRefusal status;
  {
    const absl::MutexLock lock(&mutex_);
    status = std::move(status_);
  }
  Finish(calls_.StatusOf(status));
}

}  // namespace faultline::server
