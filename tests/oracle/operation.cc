// SPDX-License-Identifier: Apache-2.0
//
// Printing and parsing by one table: each kind of operation has a name and what its arguments are.
// Flags are printed by the names the kernel's headers give them, bits without a name as a number.
#include "tests/oracle/operation.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <span>
#include <utility>

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>
#include <absl/strings/strip.h>

#include "tests/oracle/abi.h"

namespace faultline::oracle {
namespace {

struct NamedValue {
  const char* name;
  uint64_t value;
};

constexpr NamedValue kProts[] = {
    {"PROT_NONE", 0},         {"PROT_READ", PROT_READ},           {"PROT_WRITE", PROT_WRITE},
    {"PROT_EXEC", PROT_EXEC}, {"PROT_GROWSDOWN", PROT_GROWSDOWN}, {"PROT_GROWSUP", PROT_GROWSUP}};
// The type of a mapping is a number in the low four bits, not a set of them.
constexpr NamedValue kMapTypes[] = {{"MAP_SHARED", MAP_SHARED},
                                    {"MAP_PRIVATE", MAP_PRIVATE},
                                    {"MAP_SHARED_VALIDATE", MAP_SHARED_VALIDATE},
                                    {"MAP_DROPPABLE", kMapDroppable}};
constexpr NamedValue kMapBits[] = {{"MAP_FIXED", MAP_FIXED},
                                   {"MAP_ANONYMOUS", MAP_ANONYMOUS},
                                   {"MAP_GROWSDOWN", MAP_GROWSDOWN},
                                   {"MAP_DENYWRITE", MAP_DENYWRITE},
                                   {"MAP_EXECUTABLE", MAP_EXECUTABLE},
                                   {"MAP_LOCKED", MAP_LOCKED},
                                   {"MAP_NORESERVE", MAP_NORESERVE},
                                   {"MAP_POPULATE", MAP_POPULATE},
                                   {"MAP_NONBLOCK", MAP_NONBLOCK},
                                   {"MAP_STACK", MAP_STACK},
                                   {"MAP_SYNC", MAP_SYNC},
                                   {"MAP_FIXED_NOREPLACE", MAP_FIXED_NOREPLACE}};
constexpr NamedValue kRemapFlags[] = {{"MREMAP_MAYMOVE", MREMAP_MAYMOVE},
                                      {"MREMAP_FIXED", MREMAP_FIXED},
                                      {"MREMAP_DONTUNMAP", kMremapDontunmap}};
constexpr NamedValue kMlock2Flags[] = {{"MLOCK_ONFAULT", 1}};
constexpr NamedValue kMlockallFlags[] = {
    {"MCL_CURRENT", MCL_CURRENT}, {"MCL_FUTURE", MCL_FUTURE}, {"MCL_ONFAULT", MCL_ONFAULT}};
constexpr NamedValue kFiles[] = {
    {"-1", kNoFile}, {"file", kFileFd}, {"read_only_file", kReadOnlyFileFd}};
constexpr NamedValue kAdvices[] = {{"MADV_NORMAL", kMadvNormal},
                                   {"MADV_RANDOM", kMadvRandom},
                                   {"MADV_SEQUENTIAL", kMadvSequential},
                                   {"MADV_WILLNEED", kMadvWillneed},
                                   {"MADV_DONTNEED", kMadvDontneed},
                                   {"MADV_FREE", kMadvFree},
                                   {"MADV_REMOVE", kMadvRemove},
                                   {"MADV_DONTFORK", kMadvDontfork},
                                   {"MADV_DOFORK", kMadvDofork},
                                   {"MADV_MERGEABLE", kMadvMergeable},
                                   {"MADV_UNMERGEABLE", kMadvUnmergeable},
                                   {"MADV_HUGEPAGE", kMadvHugepage},
                                   {"MADV_NOHUGEPAGE", kMadvNohugepage},
                                   {"MADV_DONTDUMP", kMadvDontdump},
                                   {"MADV_DODUMP", kMadvDodump},
                                   {"MADV_WIPEONFORK", kMadvWipeonfork},
                                   {"MADV_KEEPONFORK", kMadvKeeponfork},
                                   {"MADV_COLD", kMadvCold},
                                   {"MADV_PAGEOUT", kMadvPageout},
                                   {"MADV_POPULATE_READ", kMadvPopulateRead},
                                   {"MADV_POPULATE_WRITE", kMadvPopulateWrite},
                                   {"MADV_DONTNEED_LOCKED", kMadvDontneedLocked},
                                   {"MADV_COLLAPSE", kMadvCollapse},
                                   {"MADV_GUARD_INSTALL", kMadvGuardInstall},
                                   {"MADV_GUARD_REMOVE", kMadvGuardRemove}};

enum class ArgKind { kAddress, kTarget, kHex, kNumber, kOneOf, kFlags, kMapFlags };
struct ArgFormat {
  ArgKind kind;
  std::span<const NamedValue> names;
};
struct OpFormat {
  OpKind kind;
  const char* name;
  std::vector<ArgFormat> args;
};

const std::array<OpFormat, kOpKinds>& Formats() {
  constexpr ArgFormat kAddress{ArgKind::kAddress, {}};
  constexpr ArgFormat kHex{ArgKind::kHex, {}};
  constexpr ArgFormat kNumber{ArgKind::kNumber, {}};
  constexpr ArgFormat kProt{ArgKind::kFlags, kProts};
  static const auto& formats = *new std::array<OpFormat, kOpKinds>{{
      {OpKind::kMmap,
       "mmap",
       {kAddress, kHex, kProt, {ArgKind::kMapFlags, kMapBits}, {ArgKind::kOneOf, kFiles}, kHex}},
      {OpKind::kMunmap, "munmap", {kAddress, kHex}},
      {OpKind::kMprotect, "mprotect", {kAddress, kHex, kProt}},
      {OpKind::kMremap,
       "mremap",
       {kAddress, kHex, kHex, {ArgKind::kFlags, kRemapFlags}, {ArgKind::kTarget, {}}}},
      {OpKind::kMadvise, "madvise", {kAddress, kHex, {ArgKind::kOneOf, kAdvices}}},
      {OpKind::kMseal, "mseal", {kAddress, kHex, kHex}},
      {OpKind::kMlock, "mlock", {kAddress, kHex}},
      {OpKind::kMlock2, "mlock2", {kAddress, kHex, {ArgKind::kFlags, kMlock2Flags}}},
      {OpKind::kMunlock, "munlock", {kAddress, kHex}},
      {OpKind::kMlockall, "mlockall", {{ArgKind::kFlags, kMlockallFlags}}},
      {OpKind::kMunlockall, "munlockall", {}},
      {OpKind::kBrk, "brk", {kAddress}},
      {OpKind::kRead, "read", {kAddress}},
      {OpKind::kWrite, "write", {kAddress, kHex}},
      {OpKind::kFork, "fork", {kNumber}},
      {OpKind::kExit, "exit", {}},
  }};
  return formats;
}

const OpFormat& FormatOf(OpKind kind) { return Formats()[static_cast<size_t>(kind)]; }

std::string FormatAddress(int base, uint64_t value) {
  if (base == 0) return absl::StrFormat("0x%x", value);
  std::string text = base == kBreakLabel ? "$brk" : absl::StrCat("$", base);
  if (static_cast<int64_t>(value) < 0) return absl::StrFormat("%s-0x%x", text, -value);
  return absl::StrFormat("%s+0x%x", text, value);
}

std::string FormatOneOf(std::span<const NamedValue> names, uint64_t value) {
  for (const NamedValue& named : names) {
    if (named.value == value) return named.name;
  }
  return absl::StrFormat("0x%x", value);
}

/// Names for all the bits that have one; `text` is what stands in front of them.
std::string FormatFlags(std::span<const NamedValue> names, uint64_t value, std::string text) {
  if (text.empty() && value == 0) return FormatOneOf(names, 0);
  for (const NamedValue& named : names) {
    if (named.value == 0 || (value & named.value) != named.value) continue;
    absl::StrAppend(&text, text.empty() ? "" : "|", named.name);
    value &= ~named.value;
  }
  if (value != 0) absl::StrAppendFormat(&text, "%s0x%x", text.empty() ? "" : "|", value);
  return text;
}

std::string FormatArg(const ArgFormat& format, const Operation& op, uint64_t value) {
  switch (format.kind) {
    case ArgKind::kAddress:
      return FormatAddress(op.base, value);
    case ArgKind::kTarget:
      return FormatAddress(op.target_base, value);
    case ArgKind::kHex:
      return absl::StrFormat("0x%x", value);
    case ArgKind::kNumber:
      return absl::StrCat(value);
    case ArgKind::kOneOf:
      return FormatOneOf(format.names, value);
    case ArgKind::kFlags:
      return FormatFlags(format.names, value, "");
    case ArgKind::kMapFlags:
      return FormatFlags(format.names, value & ~uint64_t{15}, FormatOneOf(kMapTypes, value & 15));
  }
  return "?";
}

absl::string_view Trimmed(std::string_view text) {
  return absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
}

bool ParseNumber(absl::string_view text, uint64_t& value) {
  if (absl::StartsWith(text, "0x")) return absl::SimpleHexAtoi(text, &value);
  return absl::SimpleAtoi(text, &value);
}

bool ParseNamed(std::span<const NamedValue> names, absl::string_view text, uint64_t& value) {
  for (const NamedValue& named : names) {
    if (text == named.name) {
      value = named.value;
      return true;
    }
  }
  return ParseNumber(text, value);
}

bool ParseFlags(std::span<const NamedValue> names, absl::string_view text, uint64_t& value) {
  value = 0;
  for (const absl::string_view part : absl::StrSplit(text, '|')) {
    uint64_t bits = 0;
    if (!ParseNamed(names, part, bits) && !ParseNamed(kMapTypes, part, bits)) return false;
    value |= bits;
  }
  return true;
}

bool ParseLabel(absl::string_view text, int& label) {
  if (!absl::ConsumePrefix(&text, "$")) return false;
  if (text == "brk") {
    label = kBreakLabel;
    return true;
  }
  return absl::SimpleAtoi(text, &label) && label > 0;
}

bool ParseAddress(absl::string_view text, int& base, uint64_t& value) {
  if (!absl::StartsWith(text, "$")) return ParseNumber(text, value);
  const size_t sign = text.find_first_of("+-");
  if (!ParseLabel(text.substr(0, sign), base)) return false;
  if (sign == absl::string_view::npos) return true;
  if (!ParseNumber(text.substr(sign + 1), value)) return false;
  if (text[sign] == '-') value = -value;
  return true;
}

bool ParseArg(const ArgFormat& format, absl::string_view text, Operation& op, uint64_t& value) {
  switch (format.kind) {
    case ArgKind::kAddress:
      return ParseAddress(text, op.base, value);
    case ArgKind::kTarget:
      return ParseAddress(text, op.target_base, value);
    case ArgKind::kHex:
    case ArgKind::kNumber:
      return ParseNumber(text, value);
    case ArgKind::kOneOf:
      return ParseNamed(format.names, text, value);
    case ArgKind::kFlags:
    case ArgKind::kMapFlags:
      return ParseFlags(format.names, text, value);
  }
  return false;
}

bool ParseArgs(const OpFormat& format, absl::string_view text, Operation& op) {
  std::vector<absl::string_view> parts;
  if (!text.empty()) parts = absl::StrSplit(text, ", ");
  if (parts.size() != format.args.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!ParseArg(format.args[i], parts[i], op, op.args[i])) return false;
  }
  return true;
}

}  // namespace

std::string Format(const Operation& op) {
  const OpFormat& format = FormatOf(op.kind);
  std::string text = absl::StrCat("p", op.process, " ");
  if (op.label != 0) absl::StrAppend(&text, "$", op.label, " = ");
  absl::StrAppend(&text, format.name, "(");
  for (size_t i = 0; i < format.args.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", FormatArg(format.args[i], op, op.args[i]));
  }
  return absl::StrCat(text, ")");
}

std::optional<Operation> ParseOperation(std::string_view text) {
  Operation op;
  const absl::string_view line = Trimmed(text);
  const std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 1));
  if (words.size() != 2 || !absl::StartsWith(words[0], "p")) return std::nullopt;
  if (!absl::SimpleAtoi(words[0].substr(1), &op.process)) return std::nullopt;
  if (op.process < 0 || op.process >= kMaxProcesses) return std::nullopt;
  absl::string_view call = words[1];
  if (absl::StartsWith(call, "$")) {
    const size_t equals = call.find(" = ");
    if (equals == absl::string_view::npos) return std::nullopt;
    if (!ParseLabel(call.substr(0, equals), op.label)) return std::nullopt;
    call.remove_prefix(equals + 3);
  }
  const size_t open = call.find('(');
  const size_t close = call.find(')');
  if (open == absl::string_view::npos || close == absl::string_view::npos) return std::nullopt;
  for (const OpFormat& format : Formats()) {
    if (format.name != call.substr(0, open)) continue;
    op.kind = format.kind;
    if (!ParseArgs(format, call.substr(open + 1, close - open - 1), op)) return std::nullopt;
    return op;
  }
  return std::nullopt;
}

std::optional<std::vector<Operation>> ParseSequence(std::string_view text, std::string* bad_line) {
  std::vector<Operation> ops;
  for (const absl::string_view raw :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line[0] == '#') continue;
    const std::optional<Operation> op = ParseOperation({line.data(), line.size()});
    if (!op) {
      *bad_line = std::string(line);
      return std::nullopt;
    }
    ops.push_back(*op);
  }
  return ops;
}

std::string_view KindName(OpKind kind) { return FormatOf(kind).name; }

}  // namespace faultline::oracle
