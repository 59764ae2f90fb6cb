// SPDX-License-Identifier: Apache-2.0
//
// One pass. A call that was split waits in its thread until it is resumed; a clone that waits is
// the one that made a thread which nobody announced, since strace may print a child's first call
// before its parent's clone has returned.
//
// Lines without a tid are of the one thread there is; its number comes with the first line that has
// one and was not announced.
#include "client/recording/strace.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/recording/concat.h"
#include "client/recording/finish.h"
#include "client/recording/import.h"
#include "client/recording/line_reader.h"
#include "client/recording/recording.h"
#include "client/recording/scanner.h"
#include "client/recording/strace_line.h"
#include "client/recording/strace_values.h"
#include "client/recording/system_calls.h"
#include "client/recording/table_builder.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMapAnonymous = 0x20;
constexpr uint64_t kCloneVm = 0x100;
constexpr uint64_t kCloneThread = 0x10000;

/// A call whose end is still to come.
struct Begun {
  std::string name;
  std::string arguments;
  uint64_t time_ns = 0;
};

/// Of a call that is all there.
struct Call {
  std::string_view name;
  std::string_view arguments;
  std::string_view result;
  uint64_t time_ns = 0;
  uint64_t duration_ns = 0;
};

/// The flags of clone and clone3, wherever they stand among the arguments.
uint64_t CloneFlags(std::string_view name, std::string_view arguments) {
  if (name == "vfork") return kCloneVm;
  if (name == "fork") return 0;
  const std::size_t at = arguments.find("flags=");
  if (at == std::string_view::npos) return 0;
  std::string_view flags = arguments.substr(at + 6);
  flags = flags.substr(0, flags.find_first_of(",} "));
  uint64_t value = 0;
  Scanner number(flags);
  if (number.AnyNumber(value)) return value;
  // Names that are of no interest here may be unknown.
  for (const auto& [flag, bit] :
       {std::pair{"CLONE_VM", kCloneVm}, std::pair{"CLONE_THREAD", kCloneThread}}) {
    const std::size_t found = flags.find(flag);
    if (found == std::string_view::npos) continue;
    const std::size_t end = found + std::string_view(flag).size();
    if (end == flags.size() || flags[end] == '|') value |= bit;
  }
  return value;
}

/// The last part of the path in execve's first argument.
std::string_view ProgramOf(std::string_view arguments) {
  const std::size_t begin = arguments.find('"');
  if (begin == std::string_view::npos) return {};
  std::string_view path = arguments.substr(begin + 1);
  path = path.substr(0, path.find('"'));
  return path.substr(path.rfind('/') + 1).substr(0, 15);
}

class StraceImporter {
 public:
  StraceImporter(LineReader& lines, const ImportOptions& options)
      : lines_(lines), options_(options), account_(lines, options.losses) {}

  absl::StatusOr<Recording> Import() {
    for (;;) {
      if (ahead_.empty() && !ReadAhead()) break;
      const Line line = std::move(ahead_.front());
      ahead_.pop_front();
      line_ = line.number;
      if (absl::Status status = Take(ParseStraceLine(line.text), line.text); !status.ok()) {
        return status;
      }
    }
    line_ = lines_.line();
    if (absl::Status status = End(); !status.ok()) return status;
    return std::move(recording_);
  }

 private:
  struct Line {
    std::string text;
    uint64_t number;
  };

  absl::Status Loss(MarkKind kind, std::string_view text) {
    return account_.Report(kind, line_, text);
  }

  /// One more line. A notice of attaching may stand in the middle of a clone, which then goes on in
  /// the next line.
  bool ReadAhead() {
    std::string text;
    std::string_view part;
    while (lines_.Next(part)) {
      text += part;
      const std::size_t notice = text.find("strace: Process ");
      if (notice == 0 || notice == std::string::npos || !part.ends_with(" attached")) {
        ahead_.push_back({.text = std::move(text), .number = lines_.line()});
        return true;
      }
      text.resize(notice);
    }
    return false;
  }

  absl::Status Take(const StraceLine& line, std::string_view text) {
    if (line.type == StraceType::kNotice) return absl::OkStatus();
    if (line.type == StraceType::kUnread) {
      return Loss(MarkKind::kUnreadLine,
                  Concat("not a line of strace -f -ttt -T: ", text.substr(0, 120)));
    }
    if (line.time_ns < last_ns_) {
      if (absl::Status status = Loss(MarkKind::kClockWentBack, "time goes back"); !status.ok()) {
        return status;
      }
    }
    last_ns_ = std::max(last_ns_, line.time_ns);
    absl::StatusOr<uint32_t> tid = ThreadOf(line);
    if (!tid.ok()) return tid.status();
    seen_.insert(*tid);
    switch (line.type) {
      case StraceType::kCall:
        return Done(*tid, {.name = line.name,
                           .arguments = line.arguments,
                           .result = line.result,
                           .time_ns = line.time_ns,
                           .duration_ns = line.duration_ns});
      case StraceType::kUnfinished:
        return Begin(*tid, line);
      case StraceType::kResumed:
        return Resume(*tid, line);
      case StraceType::kExited:
        return Exited(*tid, line);
      default:
        return absl::OkStatus();
    }
  }

  /// The line's thread, which is made if it is new.
  absl::StatusOr<uint32_t> ThreadOf(const StraceLine& line) {
    const auto& live = tables_.live();
    if (!line.tid.has_value()) {
      if (seen_.size() == 1) return *seen_.begin();
      if (live.size() == 1) return live.begin()->first;
      if (!recording_.threads.empty()) {
        absl::Status status =
            Loss(MarkKind::kUnreadLine,
                 Concat("a line without a thread, of which there are ", live.size()));
        if (!status.ok()) return status;
        if (!live.empty()) return live.begin()->first;
      }
      tables_.Of(0, 0, "", line.time_ns);
      return 0;
    }
    const uint32_t tid = *line.tid;
    if (tables_.Find(tid) != nullptr) return tid;
    if (AddEarlyChild(tid, line.time_ns)) return tid;
    if (NameFirstThread(tid)) return tid;
    if (!recording_.threads.empty()) {
      absl::Status status =
          Loss(MarkKind::kLostEvents, Concat("thread ", tid, " was made by nobody"));
      if (!status.ok()) return status;
    }
    tables_.Of(tid, tid, "", line.time_ns);
    return tid;
  }

  /// The thread that had no number has this one. False if all have.
  bool NameFirstThread(uint32_t tid) {
    if (!tables_.Rename(0, tid)) return false;
    seen_.erase(0);
    if (auto begun = begun_.extract(0); !begun.empty()) begun_.emplace(tid, begun.mapped());
    return true;
  }

  /// A child that acts before its clone has returned: which one it was is found further on.
  bool AddEarlyChild(uint32_t tid, uint64_t time_ns) {
    const auto clones = [](const auto& entry) { return IsClone(entry.second.name); };
    if (std::ranges::none_of(begun_, clones)) return false;
    for (std::size_t i = 0; i < ahead_.size() || ReadAhead(); ++i) {
      const StraceLine line = ParseStraceLine(ahead_[i].text);
      uint32_t made = 0;
      if (line.type != StraceType::kResumed || !IsClone(line.name)) continue;
      if (!Scanner(line.result).Decimal32(made) || made != tid) continue;
      if (line.tid.has_value() && tables_.Find(*line.tid) == nullptr) NameFirstThread(*line.tid);
      const auto parent = begun_.find(line.tid.value_or(0));
      if (parent == begun_.end() || parent->second.name != line.name) return false;
      early_children_.insert(tid);
      AddChild(parent->first, tid, line.name, Concat(parent->second.arguments, line.arguments),
               time_ns);
      return true;
    }
    return false;
  }

  static bool IsClone(std::string_view name) {
    const SystemCall call = FindSystemCall(name);
    return call.call_class == CallClass::kProcess && call.kind == OpKind::kFork;
  }

  absl::Status Begin(uint32_t tid, const StraceLine& line) {
    const bool twice = begun_.contains(tid);
    begun_[tid] = {.name = std::string(line.name),
                   .arguments = std::string(line.arguments),
                   .time_ns = line.time_ns};
    return twice ? Loss(MarkKind::kLostEvents, "a call begins within another one")
                 : absl::OkStatus();
  }

  absl::Status Resume(uint32_t tid, const StraceLine& line) {
    auto node = begun_.extract(tid);
    if (node.empty() || node.mapped().name != line.name) {
      return Loss(MarkKind::kLostEvents, Concat("the end of a ", line.name, " that did not begin"));
    }
    const Begun& begun = node.mapped();
    const std::string arguments = Concat(begun.arguments, line.arguments);
    // The end is when it was resumed; -T's own time is of the call alone.
    return Done(tid, {.name = begun.name,
                      .arguments = arguments,
                      .result = line.result,
                      .time_ns = begun.time_ns,
                      .duration_ns = std::max(begun.time_ns, line.time_ns) - begun.time_ns});
  }

  absl::Status Done(uint32_t tid, const Call& call) {
    const SystemCall known = FindSystemCall(call.name);
    switch (known.call_class) {
      case CallClass::kHarmless:
        return absl::OkStatus();
      case CallClass::kCarried:
        return Carried(tid, known, call);
      case CallClass::kProcess:
        return OfProcess(tid, known, call);
      case CallClass::kUnsupported:
        if (call.result.starts_with("-1 ")) return absl::OkStatus();
        return Loss(MarkKind::kUnreadLine, Concat("cannot be imported: ", call.name));
      case CallClass::kUnknown:
        break;
    }
    return Loss(MarkKind::kUnreadLine,
                Concat("unknown system call, which may change mappings: ", call.name));
  }

  absl::Status Carried(uint32_t tid, const SystemCall& known, const Call& call) {
    const LiveThread thread = *tables_.Find(tid);
    Operation op = OperationOf(thread, known.kind, call.time_ns);
    op.duration_ns = op.effect_ns = call.duration_ns;
    const std::vector<std::string_view> arguments = SplitArguments(call.arguments);
    // mremap's new address is printed only if the flags ask for it.
    const std::size_t least = known.kind == OpKind::kMremap ? 4 : known.arguments;
    bool read = arguments.size() >= least && arguments.size() <= known.arguments;
    for (std::size_t i = 0; read && i < arguments.size(); ++i) {
      read = ParseValue(arguments[i], op.args[i]);
    }
    if (!read || !ParseResult(call.result, op)) {
      return Loss(MarkKind::kUnreadLine,
                  Concat("arguments or result of ", call.name, " cannot be read: ", call.arguments,
                         ") = ", call.result));
    }
    if (known.kind == OpKind::kMprotect && known.arguments == 4) {
      const bool keyed = static_cast<int32_t>(std::exchange(op.args[3], 0)) != -1;
      if (keyed) return Loss(MarkKind::kUnreadLine, "cannot be imported: pkey_mprotect with a key");
    }
    if (op.ended == Ended::kReturned && op.error == 0) Returned(thread, arguments, op);
    recording_.operations.push_back(op);
    return absl::OkStatus();
  }

  /// What a call that succeeded says of files and the heap.
  void Returned(const LiveThread& thread, const std::vector<std::string_view>& arguments,
                Operation& op) {
    Image& image = recording_.images[op.image];
    if (op.kind == OpKind::kBrk && image.brk_start == 0) image.brk_start = op.result;
    if (op.kind != OpKind::kMmap || (op.args[3] & kMapAnonymous) != 0) return;
    std::optional<File> file;
    std::string_view path;
    Scanner scanner(arguments[4]);
    if (scanner.Until("<", path) && scanner.rest().ends_with('>')) {
      file.emplace().name = scanner.rest().substr(0, scanner.rest().size() - 1);
    }
    op.file = tables_.FileOf(thread, op, file);
  }

  /// "0x7f...", "0", "-1 EINVAL (Invalid argument)", "?".
  static bool ParseResult(std::string_view text, Operation& op) {
    Scanner scanner(text);
    if (scanner.Literal("?")) {
      op.ended = Ended::kUnknown;
      return true;
    }
    if (scanner.Literal("-1 ")) {
      std::string_view name;
      if (!scanner.Word(name)) return false;
      op.error = ErrorNumber(name);
      return op.error != 0;
    }
    return scanner.AnyNumber(op.result);
  }

  absl::Status OfProcess(uint32_t tid, const SystemCall& known, const Call& call) {
    const bool failed = call.result.starts_with("-1 ") || call.result.starts_with("?");
    if (failed || known.kind == OpKind::kExitThread || known.kind == OpKind::kExitProcess) {
      return absl::OkStatus();  // an exit is told by the line of its end
    }
    if (known.kind == OpKind::kExec) {
      LiveThread& thread = *tables_.Find(tid);
      Operation op = OperationOf(thread, OpKind::kExec, call.time_ns);
      op.duration_ns = op.effect_ns = call.duration_ns;
      tables_.Exec(thread, ProgramOf(call.arguments), call.time_ns + call.duration_ns);
      op.args[0] = thread.image;
      recording_.operations.push_back(op);
      return absl::OkStatus();
    }
    uint32_t made = 0;
    Scanner scanner(call.result);
    if (!scanner.Decimal32(made)) {
      return Loss(MarkKind::kUnreadLine, Concat("result of ", call.name, " cannot be read"));
    }
    // A child that was seen before, or has even exited, is there already.
    if (!early_children_.erase(made)) AddChild(tid, made, call.name, call.arguments, call.time_ns);
    return absl::OkStatus();
  }

  void AddChild(uint32_t parent_tid, uint32_t tid, std::string_view name,
                std::string_view arguments, uint64_t time_ns) {
    const LiveThread parent = *tables_.Find(parent_tid);
    const uint64_t flags = CloneFlags(name, arguments);
    const bool thread = (flags & kCloneThread) != 0;
    const TableBuilder::Memory memory = !thread && (flags & kCloneVm) != 0
                                            ? TableBuilder::Memory::kSame
                                            : TableBuilder::Memory::kCopy;
    const LiveThread child =
        tables_.Fork(parent, thread ? tables_.PidOf(parent_tid) : tid, tid, memory, time_ns);
    Operation op = OperationOf(parent, thread ? OpKind::kCloneThread : OpKind::kFork, time_ns);
    op.args[0] = child.thread;
    if (!thread) op.args[1] = child.image;
    recording_.operations.push_back(op);
  }

  absl::Status Exited(uint32_t tid, const StraceLine& line) {
    if (auto node = begun_.extract(tid); !node.empty()) {
      const Begun& begun = node.mapped();
      // It was killed within the call.
      absl::Status status = Done(tid, {.name = begun.name,
                                       .arguments = begun.arguments,
                                       .result = "?",
                                       .time_ns = begun.time_ns,
                                       .duration_ns = 0});
      if (!status.ok()) return status;
    }
    Operation op = OperationOf(*tables_.Find(tid), OpKind::kExitThread, line.time_ns);
    op.args[0] = line.status;
    seen_.erase(tid);
    if (tables_.Exit(tid)) op.kind = OpKind::kExitProcess;
    recording_.operations.push_back(op);
    return absl::OkStatus();
  }

  static Operation OperationOf(const LiveThread& thread, OpKind kind, uint64_t time_ns) {
    Operation op;
    op.kind = kind;
    op.thread = thread.thread;
    op.image = thread.image;
    op.time_ns = time_ns;
    return op;
  }

  absl::Status End() {
    absl::Status status = CheckTextEnd(lines_, recording_, tables_.live().empty(), account_);
    if (!status.ok()) return status;
    recording_.source.tool = Tool::kStrace;
    recording_.source.clock = Clock::kRealtime;
    tables_.JoinFiles();
    account_.Note(MarkKind::kFaultsAbsent, "strace sees no page faults");
    account_.Note(MarkKind::kLocksAbsent, "strace sees no mmap_lock");
    return FinishImport(options_, account_, recording_);
  }

  LineReader& lines_;
  const ImportOptions& options_;
  LossAccount account_;
  Recording recording_;
  TableBuilder tables_{recording_};
  absl::flat_hash_map<uint32_t, Begun> begun_;
  /// Those that were seen before their clone returned.
  absl::flat_hash_set<uint32_t> early_children_;
  /// Live threads of which there was a line: strace leaves the tid out while there is one, even
  /// though that one has made another, which strace has not met yet.
  absl::flat_hash_set<uint32_t> seen_;
  /// Lines that were read but not taken yet.
  std::deque<Line> ahead_;
  /// The one that is being taken.
  uint64_t line_ = 0;
  uint64_t last_ns_ = 0;
};

}  // namespace

absl::StatusOr<Recording> ImportStrace(LineReader& lines, const ImportOptions& options) {
  return StraceImporter(lines, options).Import();
}

}  // namespace faultline::client
