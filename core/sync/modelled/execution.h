// SPDX-License-Identifier: Apache-2.0
//
// One modelled execution: a scenario's tasks as fibers on one thread, their memory, their RCU
// state, and the rules whose violation ends a run. `Run` executes the scenario once, asking a
// Driver at every scheduling point; an Execution is used for any number of runs, one after the
// other.
//
// How a run goes: the scenario's body runs alone and sets up state and tasks; every task runs alone
// up to its first operation; then operations execute one by one as the driver chooses; when all
// tasks have ended, the scenario's final checks run alone, and what is still allocated is a leak.
//
// A step is one announced operation and the fiber's own work up to its next announcement. Two tasks
// never run at once, so a step is atomic, and the whole is sequentially consistent.
// Invariant: given the same scenario and the same choices, a run repeats exactly.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/build.h"
#include "core/base/source_loc.h"
#include "core/sync/modelled/driver.h"
#include "core/sync/modelled/memory_model.h"
#include "core/sync/modelled/op.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

class Heap;
class RcuHead;
class Task;
struct Fiber;
enum class LockDetail : uint8_t;

enum class ViolationKind : uint8_t {
  kDeadlock,          ///< a cycle of tasks, each holding what the next one waits for
  kLostWakeup,        ///< tasks sleep and nobody is left to wake them
  kLockOrder,         ///< lockdep: order or recursion
  kLockMisuse,        ///< lockdep: release or downgrade of what is not held so
  kSleepInAtomic,     ///< lockdep: may sleep inside an RCU section or under a spinlock
  kUseAfterFree,      ///< touch of freed memory, or a wrong free
  kStaleReference,    ///< touch of a recycled type-stable object, or outside the section
  kUnvalidatedValue,  ///< a speculative copy used without validation
  kLeak,              ///< memory, or a task's section or lock, left over at the end
  kInvariant,         ///< a failed check of the code or of the scenario
  kStepLimit,         ///< the run does not end: livelock, or a limit set too low
};

[[nodiscard]] std::string_view Name(ViolationKind kind);

struct Violation {
  ViolationKind kind;
  std::string message;  ///< complete sentences, several lines
  int fiber;            ///< who was running; kNoFiber at setup and at the end
};

enum class RunStatus : uint8_t {
  kCompleted,  ///< ended by itself, nothing to report
  kViolation,
  kStopped,  ///< the driver stopped it
};

struct ExecutionOptions {
  LockDetail detail;             ///< which locks show their inside
  bool lockdep = true;           ///< off: only real deadlocks are found
  uint32_t step_limit = 20'000;  ///< per run
  size_t arena_bytes = 64u << 20;
};

class Execution;

namespace detail {
inline thread_local constinit Execution* tls_execution = nullptr;
}  // namespace detail

/// A remembered way of reaching a type-stable slot; see StableRef. Set for one expression.
struct RefCursor {
  const std::byte* begin = nullptr;
  size_t size = 0;
  uint32_t generation = 0;
  uint64_t section = 0;  ///< the RCU section it was found in; 0: the object is pinned
};

/// A row of a run's story that is no choice: entering and leaving an RCU section, a free, a check.
struct TraceNote {
  uint32_t after_step;  ///< number of steps executed before it
  uint8_t fiber;
  const char* what;
  const void* object;
  SourceLoc where;
};

class Execution {
 public:
  explicit Execution(const ExecutionOptions& options);
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  using Body = std::function<void(Execution&)>;

  /// Runs the scenario once. Not reentrant.
  RunStatus Run(const Body& body, Driver& driver);

  // -- What a scenario's body uses --------------------------------------------------------------

  /// Adds a task. `name` outlives the run. At most kMaxFibers - 1.
  void Spawn(const char* name, std::function<void()> code);
  /// Makes an object that lives until the run ends; its destructor does not run.
  template <class T, class... Args>
  T* New(Args&&... args) {
    return new (AllocateForScenario(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }
  /// The heap whose pieces are checked for use after free and for leaks.
  [[nodiscard]] Heap& heap() { return *heap_; }
  /// Adds a check that runs when all tasks have ended.
  void AtEnd(std::function<void()> check);
  /// What the final state amounts to, for comparing searches; asked when all tasks have ended.
  void DigestWith(std::function<uint64_t()> digest);
  /// Names an object in reports.
  void NameObject(const void* address, size_t size, const char* name);

  // -- What the last run left ---------------------------------------------------------------------

  [[nodiscard]] const std::optional<Violation>& violation() const { return violation_; }
  [[nodiscard]] std::span<const Step> steps() const { return steps_; }
  [[nodiscard]] std::span<const Access> accesses() const { return accesses_; }
  [[nodiscard]] std::span<const TraceNote> notes() const { return notes_; }
  [[nodiscard]] uint64_t digest() const { return digest_; }
  [[nodiscard]] int fiber_count() const { return fiber_count_; }
  [[nodiscard]] std::string_view FiberName(int fiber) const;
  /// "name+0x8", a piece of memory, or, of what is not in the run's heap, "outside#" and a number
  /// that counts such objects as they are asked for: their addresses need not repeat.
  [[nodiscard]] std::string DescribeObject(const void* address) const;

  // -- What drivers use ---------------------------------------------------------------------------

  /// The operation that a fiber has announced; of one that has ended, its last.
  [[nodiscard]] const Op& pending(int fiber) const;
  [[nodiscard]] bool HasEnded(int fiber) const;
  [[nodiscard]] uint32_t step_count() const { return static_cast<uint32_t>(steps_.size()); }

  // -- What the modelled primitives use -----------------------------------------------------------

  /// The execution whose code the calling thread runs, or null outside of one.
  [[nodiscard]] static Execution* Current() { return detail::tls_execution; }
  [[nodiscard]] Task& current_task() const { return *current_task_; }
  [[nodiscard]] Fiber& current_fiber() const { return *current_; }
  /// Whether scenario code is running, rather than the loop that drives it.
  [[nodiscard]] bool InFiber() const { return current_ != nullptr; }

  /// Announces `op`; returns when it is chosen, for the caller to carry it out. `ready`, if set,
  /// says when it is eligible. Inside an AtomicStep: no switch, unless `ready` does not hold.
  void Point(const Op& op, Condition ready = {});
  /// Announces an access to a shared word and checks that its memory may be touched.
  void PointForAccess(OpKind kind, const void* address, SourceLoc where);
  /// Notes what the access did, for pruning and for reports.
  void NoteAccess(const void* address, bool write, uint64_t value);
  /// Checks that the running fiber may touch `address` in that way; ends the run if not.
  void CheckTouch(OpKind kind, const void* address, SourceLoc where);

  [[nodiscard]] LockDetail detail() const { return options_.detail; }
  [[nodiscard]] bool SpinBudgetIsOver(uint32_t spins);
  void Work(uint16_t tag, uint64_t units);
  void Note(const char* what, const void* object, SourceLoc where);

  /// Ends the run with a report. Never returns to the caller.
  [[noreturn]] void Violate(ViolationKind kind, std::string message);

  [[nodiscard]] void* Allocate(size_t size, size_t align, SourceLoc where);
  void Free(void* pointer, size_t size, SourceLoc where);
  /// Notes that a piece or slot ends its life in the current step.
  void NoteFreed(const void* pointer, size_t size, SourceLoc where);
  [[nodiscard]] MemoryModel& memory() { return memory_; }

  void RcuEnter(SourceLoc where);
  void RcuLeave(SourceLoc where);
  [[nodiscard]] bool InRcuSection() const;
  void RcuRetire(RcuHead* head, void (*callback)(RcuHead*), SourceLoc where);
  void RcuSynchronize(SourceLoc where);
  void RcuBarrier(SourceLoc where);
  /// Identifies the running fiber's section among all of the run; 0 outside of one.
  [[nodiscard]] uint64_t rcu_section() const;

  template <class Visit>
  void ForEachTask(const Visit& visit) {
    for (int i = 0; i < fiber_count_; ++i) visit(TaskOf(i));
  }

 private:
  friend struct Fiber;

  enum class Phase : uint8_t { kIdle, kSetup, kPrologue, kFibers, kFinal };
  struct Retired {
    RcuHead* head;
    void (*callback)(RcuHead*);
    uint64_t stamp;
  };
  struct NamedObject {
    const std::byte* begin;
    size_t size;
    const char* name;
  };

  void ResetForRun();
  bool RunConductor(Phase phase);
  void ConductorMain();
  void FiberMain(Fiber& fiber);
  void RunPrologues();
  void StopCallbackFiber();
  void FinalChecks();
  void CheckLeaks();

  void Arm(Fiber& fiber, const char* name, std::function<void()> code) const;
  [[nodiscard]] Task& TaskOf(int fiber) const;
  [[nodiscard]] void* AllocateForScenario(size_t size, size_t align);

  void BeginStep(Fiber& fiber);
  void EndStep();
  [[nodiscard]] FiberMask EligibleFibers();
  [[nodiscard]] int PickNext(int current);
  void EndWithoutEligible();
  void SwitchTo(Fiber& next);
  void SwitchToLoop();
  [[nodiscard]] std::string DescribeBlocked() const;
  [[nodiscard]] bool BlockedCycle() const;

  void RunRcuCallbacks();
  void RunRipeCallbacks();
  [[nodiscard]] bool HasRipeCallback() const;
  [[nodiscard]] bool SectionsBegunBefore(uint64_t stamp) const;
  void CheckSlotTouch(const Piece& piece, OpKind kind, const void* address, SourceLoc where);
  void TouchFault(ViolationKind kind, const char* what, const void* address, SourceLoc where);

  const ExecutionOptions options_;
  MemoryModel memory_;
  std::unique_ptr<Heap> heap_;

  // Fiber 0..fiber_count_-1 are the tasks; the last of them runs RCU callbacks. The conductor,
  // which runs setup and final checks, is not schedulable.
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::unique_ptr<Fiber> conductor_;
  std::unique_ptr<struct LoopContext> loop_;
  int fiber_count_ = 0;
  int callback_fiber_ = kNoFiber;
  Fiber* current_ = nullptr;
  Task* current_task_ = nullptr;

  Phase phase_ = Phase::kIdle;
  bool evaluating_ = false;  // a condition is being evaluated; nothing is recorded
  bool stopping_ = false;    // the callback fiber is to end
  const Body* body_ = nullptr;
  Driver* driver_ = nullptr;

  std::vector<Step> steps_;
  std::vector<Access> accesses_;
  std::vector<TraceNote> notes_;
  std::vector<NamedObject> names_;
  mutable std::vector<const void*> outside_;  // described so far; mutable: reports only look
  std::vector<std::function<void()>> at_end_;
  std::function<uint64_t()> digest_function_;
  uint64_t digest_ = 0;
  RunStatus status_ = RunStatus::kCompleted;
  std::optional<Violation> violation_;

  std::vector<Retired> retired_;
  size_t retired_done_ = 0;  // callbacks before this index have run
  uint64_t rcu_stamp_ = 0;
  uint64_t rcu_sections_ = 0;
  std::byte grace_period_{};  // its address stands for RCU's state in accesses
};

}  // namespace faultline
