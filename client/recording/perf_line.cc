// SPDX-License-Identifier: Apache-2.0
//
// A line is split into its head and the text of the event, and the event's name chooses who reads
// that text. Whoever finds it otherwise than expected returns false, and the line is unread: fields
// that a later kernel adds behind those that are known are no reason.
#include "client/recording/perf_line.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "client/recording/recording.h"
#include "client/recording/scanner.h"
#include "client/recording/system_calls.h"

namespace faultline::client {
namespace {

/// "PID/TID [CPU] SECONDS: " where the scanner is. The idle task and the kernel have -1.
bool ParseHead(Scanner& scanner, PerfEvent& event) {
  uint64_t pid = 0;
  uint64_t tid = 0;
  if (!scanner.AnyNumber(pid) || !scanner.Literal("/") || !scanner.AnyNumber(tid)) return false;
  if (!scanner.Literal(" ")) return false;
  event.pid = static_cast<uint32_t>(pid);
  event.tid = static_cast<uint32_t>(tid);
  return scanner.Spaces() && scanner.Literal("[") && scanner.Decimal32(event.cpu) &&
         scanner.Literal("]") && scanner.Spaces() && scanner.Seconds(event.time_ns) &&
         scanner.Literal(":") && scanner.Spaces();
}

/// The head wherever it begins. False if it is nowhere.
bool FindHead(Scanner& scanner, PerfEvent& event) {
  const std::string_view line = scanner.rest();
  std::size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return false;
  for (std::size_t at = line.find(' ', begin); at != std::string_view::npos;
       at = line.find(' ', at + 1)) {
    Scanner head(line.substr(at + 1));
    if (!ParseHead(head, event)) continue;
    std::string_view comm = line.substr(begin, at - begin);
    comm = comm.substr(0, comm.find_last_not_of(' ') + 1);
    event.comm = comm;
    scanner = head;
    return true;
  }
  return false;
}

/// "NAME: VALUE, NAME: VALUE": the values, in order.
bool ParseFields(Scanner& scanner, std::size_t count, std::array<uint64_t, kMaxArguments>& args) {
  for (std::size_t i = 0; i < count; ++i) {
    std::string_view name;
    if (i != 0 && !scanner.Literal(", ")) return false;
    if (!scanner.Word(name) || !scanner.Literal(": ") || !scanner.AnyNumber(args[i])) return false;
  }
  return true;
}

bool ParseEnter(SystemCall call, Scanner& scanner, PerfEvent& event) {
  if (!ParseFields(scanner, call.arguments, event.args)) return false;
  if (event.kind == OpKind::kMmap) {
    // A descriptor is an int, whatever the register above it holds.
    event.args[4] = static_cast<uint64_t>(static_cast<int32_t>(event.args[4]));
  }
  if (event.kind == OpKind::kMprotect && call.arguments == 4) {
    if (static_cast<int32_t>(event.args[3]) != -1) event.type = PerfType::kUnsupported;
    event.text = "pkey_mprotect";
    event.args[3] = 0;
  }
  return true;
}

bool ParseSystemCall(std::string_view name, Scanner& scanner, PerfEvent& event) {
  const bool enter = name.starts_with("sys_enter_");
  if (!enter && !name.starts_with("sys_exit_")) return false;
  name.remove_prefix(enter ? 10 : 9);
  const SystemCall call = FindSystemCall(name);
  event.kind = call.kind;
  event.text = name;
  switch (call.call_class) {
    case CallClass::kCarried:
      break;
    case CallClass::kProcess:
    case CallClass::kHarmless:
      event.type = PerfType::kIgnored;
      return true;
    case CallClass::kUnsupported:
      event.type = PerfType::kUnsupported;
      return true;
    case CallClass::kUnknown:
      return false;
  }
  event.type = enter ? PerfType::kEnter : PerfType::kExit;
  return enter ? ParseEnter(call, scanner, event) : scanner.AnyNumber(event.args[0]);
}

bool ParseFault(std::string_view name, Scanner& scanner, PerfEvent& event) {
  const bool user = name == "page_fault_user";
  if (!user && name != "page_fault_kernel") return false;
  event.type = user ? PerfType::kUserFault : PerfType::kKernelFault;
  std::string_view instruction;
  if (!scanner.Literal("address=") || !scanner.AnyNumber(event.args[0]) ||
      !scanner.Literal(" ip=") || !scanner.Until(" error_code=", instruction) ||
      !scanner.AnyNumber(event.args[1])) {
    return false;
  }
  // A kernel's instruction is a symbol, a program's a number.
  if (user && !Scanner(instruction).AnyNumber(event.args[2])) return false;
  return true;
}

bool ParseBoolean(Scanner& scanner, uint64_t& value) {
  value = scanner.Literal("true") ? 1 : 0;
  return value == 1 || scanner.Literal("false");
}

bool ParseLock(std::string_view name, Scanner& scanner, PerfEvent& event) {
  event.type = PerfType::kIgnored;
  if (name == "mmap_lock_released") return true;
  const bool acquired = name == "mmap_lock_acquire_returned";
  if (!acquired && name != "mmap_lock_start_locking") return false;
  event.type = acquired ? PerfType::kLockAcquired : PerfType::kLockStart;
  std::string_view memory_group;  // a number, or the path of a cgroup on older kernels
  if (!scanner.Literal("mm=") || !scanner.AnyNumber(event.args[0]) ||
      !scanner.Until(" write=", memory_group) || !ParseBoolean(scanner, event.args[1])) {
    return false;
  }
  return !acquired || (scanner.Literal(" success=") && ParseBoolean(scanner, event.args[2]));
}

bool ParseTracepoint(Scanner& scanner, PerfEvent& event) {
  std::string_view group;
  std::string_view name;
  if (!scanner.Word(group) || !scanner.Literal(":") || !scanner.Word(name) ||
      !scanner.Literal(":")) {
    return false;
  }
  scanner.Spaces();
  if (group == "syscalls") return ParseSystemCall(name, scanner, event);
  if (group == "exceptions") return ParseFault(name, scanner, event);
  if (group == "mmap_lock") return ParseLock(name, scanner, event);
  return false;
}

/// "PID/TID: [0xSTART(0xLENGTH) @ OFFSET MAJOR:MINOR INODE GENERATION]: rwxp NAME"
bool ParseMmap2(Scanner& scanner, PerfEvent& event) {
  uint64_t length = 0;
  uint64_t generation = 0;
  Mapping& mapping = event.mapping;
  event.type = PerfType::kMmap;
  const bool parsed =
      scanner.Spaces() && scanner.Decimal32(event.pid) && scanner.Literal("/") &&
      scanner.Decimal32(event.tid) && scanner.Literal(": [") && scanner.AnyNumber(mapping.start) &&
      scanner.Literal("(") && scanner.AnyNumber(length) && scanner.Literal(") @ ") &&
      scanner.AnyNumber(mapping.offset) && scanner.Literal(" ") &&
      scanner.Hexadecimal32(mapping.device_major) && scanner.Literal(":") &&
      scanner.Hexadecimal32(mapping.device_minor) && scanner.Literal(" ") &&
      scanner.Decimal(mapping.inode) && scanner.Literal(" ") && scanner.AnyNumber(generation) &&
      scanner.Literal("]: ") && scanner.rest().size() > 5;
  if (!parsed || length == 0 || mapping.start + length < length) return false;
  mapping.end = mapping.start + length;
  const std::string_view rights = scanner.rest().substr(0, 4);
  mapping.rights =
      static_cast<uint8_t>((rights[0] == 'r' ? kRead : 0) | (rights[1] == 'w' ? kWrite : 0) |
                           (rights[2] == 'x' ? kExecute : 0) | (rights[3] == 's' ? kShared : 0));
  mapping.name = scanner.rest().substr(5);
  return rights == RightsText(mapping.rights);
}

/// " exec: NAME:PID/TID" or ": NAME:PID/TID".
bool ParseComm(Scanner& scanner, PerfEvent& event) {
  event.type = scanner.Literal(" exec") ? PerfType::kExec : PerfType::kComm;
  if (!scanner.Literal(": ")) return false;
  const std::string_view rest = scanner.rest();
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return false;
  event.text = rest.substr(0, colon);
  Scanner who(rest.substr(colon + 1));
  return who.Decimal32(event.pid) && who.Literal("/") && who.Decimal32(event.tid);
}

/// "(PID:TID):(PID:TID)": who, and its parent.
bool ParseTask(PerfType type, Scanner& scanner, PerfEvent& event) {
  event.type = type;
  return scanner.Literal("(") && scanner.Decimal32(event.pid) && scanner.Literal(":") &&
         scanner.Decimal32(event.tid) && scanner.Literal("):(") &&
         scanner.AnyNumber(event.args[1]) && scanner.Literal(":") &&
         scanner.AnyNumber(event.args[0]) && scanner.Literal(")");
}

bool ParseLost(Scanner& scanner, PerfEvent& event) {
  event.type = PerfType::kLost;
  const std::string_view rest = scanner.rest();
  Scanner number(rest.substr(std::min(rest.find_first_of("0123456789"), rest.size())));
  if (!number.Decimal(event.args[0])) event.args[0] = 0;
  return true;
}

bool ParseRecord(Scanner& scanner, PerfEvent& event) {
  std::string_view type;
  if (!scanner.Word(type)) return false;
  if (type == "MMAP2") return ParseMmap2(scanner, event);
  if (type == "COMM") return ParseComm(scanner, event);
  if (type == "FORK") return ParseTask(PerfType::kFork, scanner, event);
  if (type == "EXIT") return ParseTask(PerfType::kThreadExit, scanner, event);
  if (type.starts_with("LOST") || type == "THROTTLE") return ParseLost(scanner, event);
  // The kernel's own mappings, switches, cgroups and the like. A program's MMAP without a 2 says
  // nothing that its call does not.
  event.type = PerfType::kIgnored;
  return true;
}

}  // namespace

PerfEvent ParsePerfLine(std::string_view line) {
  PerfEvent event;
  Scanner scanner(line);
  if (line.empty() || line.front() == '#') {
    event.type = PerfType::kIgnored;
    return event;
  }
  if (!FindHead(scanner, event)) return event;
  const bool read = scanner.Literal("PERF_RECORD_") ? ParseRecord(scanner, event)
                                                    : ParseTracepoint(scanner, event);
  if (!read) event.type = PerfType::kUnread;
  return event;
}

}  // namespace faultline::client
