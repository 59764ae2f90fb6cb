// SPDX-License-Identifier: Apache-2.0
//
// A line is read from both ends: the tid and the time from the left, the duration and the result
// from the right, since arguments may hold anything, " = " and brackets included.
#include "client/recording/strace_line.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client/recording/scanner.h"

namespace faultline::client {
namespace {

constexpr std::string_view kUnfinished = "<unfinished ...>";

std::string_view Trimmed(std::string_view text) {
  const std::size_t last = text.find_last_not_of(' ');
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

void TakeTid(Scanner& scanner, StraceLine& line) {
  Scanner ahead = scanner;
  uint32_t tid = 0;
  const bool bracket = ahead.Literal("[pid");
  ahead.Spaces();
  if (!ahead.Decimal32(tid) || (bracket && !ahead.Literal("]")) || !ahead.Literal(" ")) return;
  ahead.Spaces();
  line.tid = tid;
  scanner = ahead;
}

/// " <0.000031>" at the end of `text`.
void TakeDuration(std::string_view& text, StraceLine& line) {
  if (!text.ends_with('>')) return;
  const std::size_t at = text.rfind(" <");
  if (at == std::string_view::npos) return;
  Scanner scanner(text.substr(at + 2));
  if (!scanner.Seconds(line.duration_ns) || scanner.rest() != ">") return;
  text = Trimmed(text.substr(0, at));
}

/// "ARGUMENTS) = RESULT <SECONDS>".
bool TakeEnd(std::string_view text, StraceLine& line) {
  TakeDuration(text, line);
  for (std::size_t at = text.rfind(" = "); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind(" = ", at - 1)) {
    const std::string_view before = Trimmed(text.substr(0, at));
    if (!before.ends_with(')')) continue;
    line.arguments = before.substr(0, before.size() - 1);
    line.result = text.substr(at + 3);
    return !line.result.empty();
  }
  return false;
}

StraceType Exited(Scanner& scanner, StraceLine& line) {
  if (scanner.Literal("exited with ")) {
    return scanner.AnyNumber(line.status) && scanner.Literal(" +++") ? StraceType::kExited
                                                                     : StraceType::kUnread;
  }
  const bool other = scanner.Literal("killed by ") || scanner.Literal("superseded by ");
  return other && scanner.rest().ends_with("+++") ? StraceType::kExited : StraceType::kUnread;
}

StraceType Body(Scanner& scanner, StraceLine& line) {
  if (scanner.Literal("--- ")) {
    return scanner.rest().ends_with("---") ? StraceType::kSignal : StraceType::kUnread;
  }
  if (scanner.Literal("+++ ")) return Exited(scanner, line);
  if (scanner.Literal("<... ")) {
    // Older versions put a space before what follows; some print none of it but the result.
    if (!scanner.Word(line.name) || !scanner.Literal(" resumed>")) return StraceType::kUnread;
    return TakeEnd(scanner.rest(), line) ? StraceType::kResumed : StraceType::kUnread;
  }
  if (!scanner.Word(line.name) || !scanner.Literal("(")) return StraceType::kUnread;
  const std::string_view rest = Trimmed(scanner.rest());
  if (rest.ends_with(kUnfinished)) {
    line.arguments = Trimmed(rest.substr(0, rest.size() - kUnfinished.size()));
    return StraceType::kUnfinished;
  }
  return TakeEnd(rest, line) ? StraceType::kCall : StraceType::kUnread;
}

}  // namespace

StraceLine ParseStraceLine(std::string_view text) {
  StraceLine line;
  Scanner scanner(text);
  if (text.starts_with("strace: Process ")) {
    line.type = StraceType::kNotice;
    return line;
  }
  TakeTid(scanner, line);
  if (!scanner.Seconds(line.time_ns) || !scanner.Literal(" ")) return line;
  line.type = Body(scanner, line);
  return line;
}

}  // namespace faultline::client
