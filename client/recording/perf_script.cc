// SPDX-License-Identifier: Apache-2.0
//
// One pass over the lines, each event with the state of its thread; then operations are put into
// the order of their effects.
//
// Lines of different CPUs may stand in any order, which the sort takes care of. On one thread or
// one CPU time only goes forward: a tracer's own sorting cannot put that right, so it is a loss.
#include "client/recording/perf_script.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/recording/concat.h"
#include "client/recording/finish.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/perf_line.h"
#include "client/recording/perf_locks.h"
#include "client/recording/recording.h"
#include "client/recording/table_builder.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMapAnonymous = 0x20;
/// Results from here on are negative error numbers.
constexpr uint64_t kFirstError = ~uint64_t{0} - 4094;

struct ThreadState {
  LockContext locks;
  uint64_t last_ns = 0;
  /// What the mmap under way maps, as the kernel named it.
  std::optional<File> mapped;
};

class PerfImporter {
 public:
  PerfImporter(LineReader& lines, const ImportOptions& options)
      : lines_(lines), options_(options), account_(lines, options.losses) {}

  absl::StatusOr<Recording> Import() {
    std::string_view line;
    while (lines_.Next(line)) {
      const PerfEvent event = ParsePerfLine(line);
      absl::Status status =
          event.type == PerfType::kUnread
              ? Loss(MarkKind::kUnreadLine,
                     Concat("not an event that can be imported: ", line.substr(0, 120)))
              : Take(event);
      if (!status.ok()) return status;
    }
    if (absl::Status status = End(); !status.ok()) return status;
    return std::move(recording_);
  }

 private:
  absl::Status Loss(MarkKind kind, std::string_view text, uint64_t count = 1) {
    return account_.Report(kind, lines_.line(), text, count);
  }

  absl::Status Take(const PerfEvent& event) {
    switch (event.type) {
      case PerfType::kLost:
        return Loss(MarkKind::kLostEvents, "perf lost events", event.args[0]);
      case PerfType::kUnsupported:
        return Loss(MarkKind::kUnreadLine, Concat("cannot be imported: ", event.text));
      case PerfType::kIgnored:
        return absl::OkStatus();
      default:
        break;
    }
    // Without a time it tells how things were before: of the kernel, or of the shell.
    if (event.time_ns == 0) return absl::OkStatus();
    if (absl::Status status = CheckClock(event); !status.ok()) return status;
    switch (event.type) {
      case PerfType::kEnter:
        return Enter(event);
      case PerfType::kExit:
        return Exit(event);
      case PerfType::kUserFault:
      case PerfType::kKernelFault:
        Fault(event);
        break;
      case PerfType::kLockStart:
        StateOf(event).locks.attempt = true;
        break;
      case PerfType::kLockAcquired: {
        ThreadState& state = StateOf(event);
        const LiveThread& thread = Of(event);
        has_locks_ = true;
        attribution_.Acquired(event, thread.image, state.locks);
        break;
      }
      case PerfType::kMmap:
        Mapped(event);
        break;
      case PerfType::kExec:
        Exec(event);
        break;
      case PerfType::kFork:
        Fork(event);
        break;
      case PerfType::kThreadExit:
        ThreadExit(event);
        break;
      default:
        break;
    }
    return absl::OkStatus();
  }

  absl::Status CheckClock(const PerfEvent& event) {
    uint64_t& of_cpu = cpus_[event.cpu];
    uint64_t& of_thread = states_[event.tid].last_ns;
    const uint64_t last = std::max(of_cpu, of_thread);
    if (event.time_ns < last) {
      return Loss(MarkKind::kClockWentBack,
                  Concat("time goes back on CPU ", event.cpu, ", thread ", event.tid));
    }
    of_cpu = of_thread = event.time_ns;
    return absl::OkStatus();
  }

  LiveThread& Of(const PerfEvent& event) {
    return tables_.Of(event.pid, event.tid, event.comm, event.time_ns);
  }
  ThreadState& StateOf(const PerfEvent& event) { return states_[event.tid]; }

  /// Appends an operation of the event's thread.
  Operation& Add(const PerfEvent& event, OpKind kind) {
    const LiveThread& thread = Of(event);
    Operation& op = recording_.operations.emplace_back();
    op.kind = kind;
    op.thread = thread.thread;
    op.image = thread.image;
    op.time_ns = event.time_ns;
    return op;
  }
  [[nodiscard]] std::size_t Last() const { return recording_.operations.size() - 1; }

  /// Whatever was pending in the thread has nothing to do with what comes.
  void Leave(ThreadState& state) {
    attribution_.GiveUp(state.locks);
    state.locks.Leave();
  }

  void EndUnseen(std::size_t call) {
    Operation& op = recording_.operations[call];
    op.ended = Ended::kUnknown;
    op.duration_ns = op.effect_ns;
  }

  /// What was open in a thread that has become another, or none.
  void Reset(LockContext& locks) {
    if (locks.call != kNoOperation) EndUnseen(locks.call);
    locks = {};
  }

  absl::Status Enter(const PerfEvent& event) {
    ThreadState& state = StateOf(event);
    absl::Status status;
    if (state.locks.call != kNoOperation) {
      status = Loss(MarkKind::kLostEvents, "a system call begins within another one");
      EndUnseen(state.locks.call);
    }
    Leave(state);
    state.locks.exec = kNoOperation;
    Add(event, event.kind).args = event.args;
    state.locks.call = Last();
    state.mapped.reset();
    return status;
  }

  absl::Status Exit(const PerfEvent& event) {
    ThreadState& state = StateOf(event);
    const std::size_t call = std::exchange(state.locks.call, kNoOperation);
    Leave(state);
    if (call == kNoOperation || recording_.operations[call].kind != event.kind) {
      if (call != kNoOperation) EndUnseen(call);
      return Loss(MarkKind::kLostEvents,
                  Concat("the end of a ", event.text, " that did not begin"));
    }
    Operation& op = recording_.operations[call];
    // Where time went back, which was marked, an end is not before its effect.
    op.duration_ns = std::max(event.time_ns, op.time_ns + op.effect_ns) - op.time_ns;
    if (op.locks.writes == 0) op.effect_ns = op.duration_ns;
    if (event.args[0] >= kFirstError && op.kind != OpKind::kBrk) {
      op.error = static_cast<uint32_t>(~event.args[0] + 1);
      return absl::OkStatus();
    }
    op.result = event.args[0];
    Image& image = recording_.images[op.image];
    if (op.kind == OpKind::kBrk && image.brk_start == 0) image.brk_start = op.result;
    if (op.kind == OpKind::kMmap && (op.args[3] & kMapAnonymous) == 0) {
      op.file = tables_.FileOf(Of(event), op, state.mapped);
    }
    return absl::OkStatus();
  }

  void Fault(const PerfEvent& event) {
    ThreadState& state = StateOf(event);
    if (state.locks.call == kNoOperation) Leave(state);
    const bool user = event.type == PerfType::kUserFault;
    if (user) state.locks.exec = kNoOperation;
    Add(event, user ? OpKind::kUserFault : OpKind::kKernelFault).args = event.args;
    state.locks.fault = Last();
  }

  void Mapped(const PerfEvent& event) {
    ThreadState& state = StateOf(event);
    const Mapping& mapping = event.mapping;
    const LiveThread& thread = Of(event);
    if (state.locks.exec != kNoOperation) {
      Image& image = recording_.images[thread.image];
      image.start_known = MapsKnown::kExecutable;
      const auto behind = std::ranges::lower_bound(image.start, mapping.start, {}, &Mapping::start);
      const bool free = (behind == image.start.end() || mapping.end <= behind->start) &&
                        (behind == image.start.begin() || (behind - 1)->end <= mapping.start);
      if (free) image.start.insert(behind, mapping);
    } else if (state.locks.call != kNoOperation && mapping.inode != 0) {
      state.mapped = File{.name = mapping.name,
                          .device_major = mapping.device_major,
                          .device_minor = mapping.device_minor,
                          .inode = mapping.inode};
    }
  }

  void Exec(const PerfEvent& event) {
    ThreadState& state = StateOf(event);
    const bool first = tables_.Find(event.tid) == nullptr;
    LiveThread& thread = Of(event);
    if (first) {
      // What there was before is not in the recording: its image begins here.
      recording_.images[thread.image].comm = event.text;
    }
    const Acquisitions before = state.locks.pending;
    const bool fault_before = state.locks.fault_before;
    Operation& op = Add(event, OpKind::kExec);
    op.locks = before;
    op.args[1] = before.reads;
    op.args[2] = fault_before ? 1 : 0;
    if (!first) tables_.Exec(thread, event.text, event.time_ns);
    op.args[0] = thread.image;
    recording_.threads[thread.thread].comm = event.text;
    Reset(state.locks);
    state.locks.exec = Last();
  }

  void Fork(const PerfEvent& event) {
    // The line's own thread is the parent or the child, which differs between versions; args name
    // it.
    const auto parent_tid = static_cast<uint32_t>(event.args[0]);
    const auto parent_pid = static_cast<uint32_t>(event.args[1]);
    const LiveThread parent = tables_.Of(parent_pid, parent_tid, event.comm, event.time_ns);
    LockContext& locks = states_[parent_tid].locks;
    // Copying an mm write-locks the new one, so without that the child shares its parent's.
    const bool copied = !has_locks_ || (locks.elsewhere && locks.pending.writes != 0);
    const LiveThread child = tables_.Fork(
        parent, event.pid, event.tid,
        copied ? TableBuilder::Memory::kCopy : TableBuilder::Memory::kSame, event.time_ns);
    const bool thread = child.process == parent.process;
    Operation op;
    op.kind = thread ? OpKind::kCloneThread : OpKind::kFork;
    op.thread = parent.thread;
    op.image = parent.image;
    op.time_ns = event.time_ns;
    op.args[0] = child.thread;
    if (!thread) op.args[1] = child.image;
    if (!thread && copied && has_locks_) {
      TakeLocksOfFork(locks, op);
      attribution_.SetMm(child.image, locks.other_mm);
    }
    recording_.operations.push_back(op);
    Leave(states_[parent_tid]);
    Reset(states_[event.tid].locks);
  }

  /// fork write-locks the parent's mm, which was put to the fault before it, and then the child's.
  void TakeLocksOfFork(LockContext& locks, Operation& op) {
    op.locks = std::exchange(locks.pending, {});
    if (locks.last_write == kNoOperation) return;
    --recording_.operations[locks.last_write].locks.writes;
    ++op.locks.writes;
  }

  void ThreadExit(const PerfEvent& event) {
    if (tables_.Find(event.tid) == nullptr) return;
    ThreadState& state = StateOf(event);
    if (state.locks.call != kNoOperation) {
      EndUnseen(state.locks.call);
    }
    attribution_.GiveUp(state.locks);
    Add(event, OpKind::kExitThread);
    if (tables_.Exit(event.tid)) recording_.operations.back().kind = OpKind::kExitProcess;
    states_.erase(event.tid);
  }

  absl::Status End() {
    absl::Status status = CheckTextEnd(lines_, recording_, tables_.live().empty(), account_);
    if (!status.ok()) return status;
    for (const auto& [tid, thread] : tables_.live()) {
      const std::size_t call = states_[tid].locks.call;
      if (call != kNoOperation) EndUnseen(call);
    }
    recording_.source.tool = Tool::kPerf;
    recording_.source.clock = Clock::kMonotonic;
    SortByEffect(recording_);
    tables_.JoinFiles();
    if (!has_locks_) account_.Note(MarkKind::kLocksAbsent, "no events of mmap_lock");
    const Acquisitions& others = attribution_.others();
    if (const uint64_t count = uint64_t{others.reads} + others.writes; count != 0) {
      account_.Note(MarkKind::kOtherLocks, "acquisitions by what was not recorded", count);
    }
    return FinishImport(options_, account_, recording_);
  }

  LineReader& lines_;
  const ImportOptions& options_;
  LossAccount account_;
  Recording recording_;
  TableBuilder tables_{recording_};
  LockAttribution attribution_{recording_.operations};
  absl::flat_hash_map<uint32_t, ThreadState> states_;
  absl::flat_hash_map<uint32_t, uint64_t> cpus_;
  bool has_locks_ = false;
};

}  // namespace

absl::StatusOr<Recording> ImportPerfScript(LineReader& lines, const ImportOptions& options) {
  return PerfImporter(lines, options).Import();
}

}  // namespace faultline::client
