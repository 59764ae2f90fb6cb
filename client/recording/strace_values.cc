// SPDX-License-Identifier: Apache-2.0
//
// Names of flags are those of the host's headers, by value: what Linux on x86-64 has, newer ones by
// number, since Debian's headers lack them.
#include "client/recording/strace_values.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "client/recording/scanner.h"

namespace faultline::client {
namespace {

struct Flag {
  std::string_view name;
  uint64_t value;
};

constexpr std::array kFlags = {
    Flag{"NULL", 0},
    Flag{"PROT_NONE", PROT_NONE},
    Flag{"PROT_READ", PROT_READ},
    Flag{"PROT_WRITE", PROT_WRITE},
    Flag{"PROT_EXEC", PROT_EXEC},
    Flag{"PROT_SEM", 8},
    Flag{"PROT_GROWSDOWN", PROT_GROWSDOWN},
    Flag{"PROT_GROWSUP", PROT_GROWSUP},
    Flag{"MAP_FILE", MAP_FILE},
    Flag{"MAP_SHARED", MAP_SHARED},
    Flag{"MAP_PRIVATE", MAP_PRIVATE},
    Flag{"MAP_SHARED_VALIDATE", MAP_SHARED_VALIDATE},
    Flag{"MAP_DROPPABLE", 8},
    Flag{"MAP_FIXED", MAP_FIXED},
    Flag{"MAP_ANONYMOUS", MAP_ANONYMOUS},
    Flag{"MAP_32BIT", MAP_32BIT},
    Flag{"MAP_ABOVE4G", 0x80},
    Flag{"MAP_GROWSDOWN", MAP_GROWSDOWN},
    Flag{"MAP_DENYWRITE", MAP_DENYWRITE},
    Flag{"MAP_EXECUTABLE", MAP_EXECUTABLE},
    Flag{"MAP_LOCKED", MAP_LOCKED},
    Flag{"MAP_NORESERVE", MAP_NORESERVE},
    Flag{"MAP_POPULATE", MAP_POPULATE},
    Flag{"MAP_NONBLOCK", MAP_NONBLOCK},
    Flag{"MAP_STACK", MAP_STACK},
    Flag{"MAP_HUGETLB", MAP_HUGETLB},
    Flag{"MAP_SYNC", MAP_SYNC},
    Flag{"MAP_FIXED_NOREPLACE", MAP_FIXED_NOREPLACE},
    Flag{"MAP_UNINITIALIZED", 0x4000000},
    Flag{"MREMAP_MAYMOVE", 1},
    Flag{"MREMAP_FIXED", 2},
    Flag{"MREMAP_DONTUNMAP", 4},
    Flag{"MCL_CURRENT", MCL_CURRENT},
    Flag{"MCL_FUTURE", MCL_FUTURE},
    Flag{"MCL_ONFAULT", 4},
    Flag{"MLOCK_ONFAULT", 1},
    Flag{"MADV_NORMAL", MADV_NORMAL},
    Flag{"MADV_RANDOM", MADV_RANDOM},
    Flag{"MADV_SEQUENTIAL", MADV_SEQUENTIAL},
    Flag{"MADV_WILLNEED", MADV_WILLNEED},
    Flag{"MADV_DONTNEED", MADV_DONTNEED},
    Flag{"MADV_FREE", 8},
    Flag{"MADV_REMOVE", 9},
    Flag{"MADV_DONTFORK", 10},
    Flag{"MADV_DOFORK", 11},
    Flag{"MADV_MERGEABLE", 12},
    Flag{"MADV_UNMERGEABLE", 13},
    Flag{"MADV_HUGEPAGE", 14},
    Flag{"MADV_NOHUGEPAGE", 15},
    Flag{"MADV_DONTDUMP", 16},
    Flag{"MADV_DODUMP", 17},
    Flag{"MADV_WIPEONFORK", 18},
    Flag{"MADV_KEEPONFORK", 19},
    Flag{"MADV_COLD", 20},
    Flag{"MADV_PAGEOUT", 21},
    Flag{"MADV_POPULATE_READ", 22},
    Flag{"MADV_POPULATE_WRITE", 23},
    Flag{"MADV_DONTNEED_LOCKED", 24},
    Flag{"MADV_COLLAPSE", 25},
    Flag{"MADV_HWPOISON", 100},
    Flag{"MADV_SOFT_OFFLINE", 101},
    Flag{"MADV_GUARD_INSTALL", 102},
    Flag{"MADV_GUARD_REMOVE", 103},
    Flag{"CLONE_VM", 0x100},
    Flag{"CLONE_VFORK", 0x4000},
    Flag{"CLONE_THREAD", 0x10000},
};

constexpr uint32_t kLastError = 133;
constexpr unsigned kHugeShift = 26;

bool ParsePart(std::string_view part, uint64_t& value) {
  const auto* const flag = std::ranges::find(kFlags, part, &Flag::name);
  if (flag != kFlags.end()) {
    value = flag->value;
    return true;
  }
  Scanner scanner(part);
  if (!scanner.AnyNumber(value)) return false;
  if (scanner.Literal("<<MAP_HUGE_SHIFT")) value <<= kHugeShift;
  // The path of a descriptor, or what strace thinks of the number.
  return scanner.empty() || scanner.rest().front() == '<' || scanner.rest().starts_with(" /*");
}

/// Where the string that begins at `at` ends: its closing quote.
std::size_t EndOfString(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at;
}

}  // namespace

std::vector<std::string_view> SplitArguments(std::string_view text) {
  std::vector<std::string_view> arguments;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') at = EndOfString(text, at);
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    if (c != ',' || depth != 0) continue;
    arguments.push_back(text.substr(begin, at - begin));
    begin = std::min(text.find_first_not_of(' ', at + 1), text.size());
  }
  if (begin < text.size()) arguments.push_back(text.substr(begin));
  return arguments;
}

bool ParseValue(std::string_view text, uint64_t& value) {
  value = 0;
  if (text.empty()) return false;
  // A path may hold a |; flags hold no <.
  if (text.find('<') != std::string_view::npos && text.find("<<") == std::string_view::npos) {
    return ParsePart(text, value);
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('|'), text.size());
    uint64_t part = 0;
    if (!ParsePart(text.substr(0, end), part)) return false;
    value |= part;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

uint32_t ErrorNumber(std::string_view name) {
  static const auto numbers = [] {
    absl::flat_hash_map<std::string_view, uint32_t> by_name;
    for (uint32_t number = 1; number <= kLastError; ++number) {
      const char* const known = strerrorname_np(static_cast<int>(number));
      if (known != nullptr) by_name.emplace(known, number);
    }
    by_name.emplace("EWOULDBLOCK", 11);
    by_name.emplace("ENOTSUPP", 524);
    // What a call that a signal interrupted shows to a tracer.
    by_name.emplace("ERESTARTSYS", 512);
    by_name.emplace("ERESTARTNOINTR", 513);
    by_name.emplace("ERESTARTNOHAND", 514);
    by_name.emplace("ERESTART_RESTARTBLOCK", 516);
    return by_name;
  }();
  const auto found = numbers.find(name);
  return found == numbers.end() ? 0 : found->second;
}

}  // namespace faultline::client
