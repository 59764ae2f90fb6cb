// SPDX-License-Identifier: Apache-2.0
//
// How runs are told: the interleaving as a table, objects by name, blocked tasks with what they
// wait for and who holds it.
#include "core/sync/modelled/report.h"

#include <algorithm>

#include <absl/strings/str_format.h>

#include "core/sync/modelled/execution_fiber.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Column widths of the table.
struct Layout {
  size_t fiber = 4;
  size_t object = 6;
};

class RunTable {
 public:
  explicit RunTable(const Execution& execution) : execution_(execution) { Measure(); }

  std::string Format() {
    Header();
    size_t next_note = 0;
    const auto steps = execution_.steps();
    const auto notes = execution_.notes();
    for (uint32_t i = 0; i <= steps.size(); ++i) {
      // A note carries the number of steps begun before it, its own included.
      while (next_note < notes.size() && notes[next_note].after_step <= i) {
        NoteRow(notes[next_note++]);
      }
      if (i < steps.size()) StepRow(i, steps[i]);
    }
    return std::move(text_);
  }

 private:
  void Measure() {
    for (int i = 0; i < execution_.fiber_count(); ++i) {
      layout_.fiber = std::max(layout_.fiber, execution_.FiberName(i).size() + 3);
    }
    for (const Step& step : execution_.steps()) {
      layout_.object = std::max(layout_.object, Object(step.op.object).size());
    }
    layout_.object = std::min<size_t>(layout_.object, 44);
  }
  [[nodiscard]] std::string Object(const void* object) const {
    return object == nullptr ? "" : execution_.DescribeObject(object);
  }
  [[nodiscard]] std::string FiberLabel(int fiber) const {
    return absl::StrFormat("%d %s", fiber, execution_.FiberName(fiber));
  }
  void Header() {
    absl::StrAppendFormat(&text_, "%5s  %-*s %-12s %-*s %-14s %s\n", "step",
                          static_cast<int>(layout_.fiber), "task", "operation",
                          static_cast<int>(layout_.object), "object", "value", "source");
  }
  void StepRow(uint32_t index, const Step& step) {
    if (step.fiber != last_fiber_ && last_fiber_ != kNoFiber) text_ += "       ---\n";
    last_fiber_ = step.fiber;
    absl::StrAppendFormat(&text_, "%5d  %-*s %-12s %-*s %-14s %s\n", index + 1,
                          static_cast<int>(layout_.fiber), FiberLabel(step.fiber),
                          Name(step.op.kind), static_cast<int>(layout_.object),
                          Object(step.op.object),
                          step.has_value ? absl::StrFormat("0x%x", step.value) : std::string(),
                          ShortForm(step.op.where));
  }
  void NoteRow(const TraceNote& note) {
    absl::StrAppendFormat(&text_, "%5s  %-*s %-12s %-*s %-14s %s\n", "",
                          static_cast<int>(layout_.fiber), FiberLabel(note.fiber), note.what,
                          static_cast<int>(layout_.object), Object(note.object), "",
                          ShortForm(note.where));
  }

  const Execution& execution_;
  Layout layout_;
  std::string text_;
  int last_fiber_ = kNoFiber;
};

}  // namespace

std::string_view Name(ViolationKind kind) {
  switch (kind) {
    case ViolationKind::kDeadlock:
      return "deadlock";
    case ViolationKind::kLostWakeup:
      return "lost wake-up";
    case ViolationKind::kLockOrder:
      return "lock order";
    case ViolationKind::kLockMisuse:
      return "lock misuse";
    case ViolationKind::kSleepInAtomic:
      return "sleep in atomic context";
    case ViolationKind::kUseAfterFree:
      return "use after free";
    case ViolationKind::kStaleReference:
      return "stale reference";
    case ViolationKind::kUnvalidatedValue:
      return "unvalidated value";
    case ViolationKind::kLeak:
      return "leak";
    case ViolationKind::kInvariant:
      return "failed invariant";
    case ViolationKind::kStepLimit:
      return "step limit";
  }
  return "unknown";
}

std::string ShortForm(SourceLoc where) {
  return where.line() == 0 ? "" : absl::StrFormat("%s:%u", where.file(), where.line());
}

std::string FormatRun(const Execution& execution) {
  std::string text = RunTable(execution).Format();
  if (execution.violation().has_value()) {
    const Violation& violation = *execution.violation();
    absl::StrAppendFormat(&text, "\n%s: %s", Name(violation.kind), violation.message);
    if (!text.ends_with('\n')) text.push_back('\n');
  }
  return text;
}

std::string Execution::DescribeObject(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  const NamedObject* best = nullptr;  // the smallest one around the address, of equals the last
  for (const NamedObject& object : names_) {
    if (byte < object.begin || byte >= object.begin + object.size) continue;
    if (best == nullptr || object.size <= best->size) best = &object;
  }
  if (best != nullptr) {
    const auto offset = byte - best->begin;
    return offset == 0 ? best->name : absl::StrFormat("%s+0x%x", best->name, offset);
  }
  if (address == &grace_period_) return "grace period";
  for (int i = 0; i < fiber_count_; ++i) {
    const auto* task = reinterpret_cast<const std::byte*>(&TaskOf(i));
    if (byte >= task && byte < task + sizeof(Task)) {
      return absl::StrFormat("task %s", TaskOf(i).name());
    }
    // No offset: it may differ from run to run, and reports repeat.
    if (fibers_[static_cast<size_t>(i)]->stack.Contains(address)) {
      return absl::StrFormat("stack of %s", TaskOf(i).name());
    }
  }
  // Const as far as the caller can see: the model only looks.
  std::string piece = const_cast<MemoryModel&>(memory_).NameOf(address);
  if (!piece.empty()) return piece;
  const auto known = std::find(outside_.begin(), outside_.end(), address);
  const auto number = known - outside_.begin() + 1;
  if (known == outside_.end()) outside_.push_back(address);
  return absl::StrFormat("outside#%d", number);
}

// -- Those who wait for ever ----------------------------------------------------------------------

namespace {

/// What a blocked fiber waits for: a sleeping lock it queued for, or what its operation names.
const void* AwaitedBy(const Fiber& fiber) {
  return fiber.task.waiting_for.address != nullptr ? fiber.task.waiting_for.address
                                                   : fiber.pending.object;
}

bool Holds(const Fiber& fiber, const void* lock) {
  return std::any_of(fiber.task.held.begin(), fiber.task.held.end(),
                     [lock](const HeldLock& held) { return held.lock.address == lock; });
}

}  // namespace

/// Whether the unfinished tasks contain a cycle of "waits for a lock held by". Without lockdep
/// nobody knows who holds what for reading; then owners of exclusive holds have to do.
bool Execution::BlockedCycle() const {
  const auto next = [this](const Fiber& fiber) -> const Fiber* {
    for (int i = 0; i < fiber_count_; ++i) {
      const Fiber& other = *fibers_[static_cast<size_t>(i)];
      if (other.finished) continue;
      if (Holds(other, AwaitedBy(fiber)) || other.task.id() == fiber.task.waiting_holder) {
        return &other;
      }
    }
    return nullptr;
  };
  for (int i = 0; i < fiber_count_; ++i) {
    const Fiber* const start = fibers_[static_cast<size_t>(i)].get();
    if (start->finished) continue;
    const Fiber* fiber = start;
    for (int hops = 0; hops <= fiber_count_ && fiber != nullptr; ++hops) {
      fiber = next(*fiber);
      if (fiber == start) return true;
    }
  }
  return false;
}

std::string Execution::DescribeBlocked() const {
  std::string text = "no task can run\n";
  for (int i = 0; i < fiber_count_; ++i) {
    const Fiber& fiber = *fibers_[static_cast<size_t>(i)];
    if (fiber.finished || (i == callback_fiber_ && retired_done_ == retired_.size())) continue;
    const LockId lock = fiber.task.waiting_for;
    absl::StrAppendFormat(&text, "  task %s waits in %s", fiber.task.name(),
                          Name(fiber.pending.kind));
    if (lock.address != nullptr) {
      absl::StrAppendFormat(&text, " for %s %s", Name(lock.rank), DescribeObject(lock.address));
    } else if (fiber.pending.object != nullptr) {
      absl::StrAppendFormat(&text, " on %s", DescribeObject(fiber.pending.object));
    }
    absl::StrAppendFormat(&text, "  at %s\n", ShortForm(fiber.pending.where));
    for (int j = 0; j < fiber_count_; ++j) {
      const Fiber& other = *fibers_[static_cast<size_t>(j)];
      if (Holds(other, AwaitedBy(fiber))) {
        absl::StrAppendFormat(&text, "    which task %s holds%s\n", other.task.name(),
                              other.finished ? " although it has ended" : "");
      }
    }
  }
  return text;
}

}  // namespace faultline
