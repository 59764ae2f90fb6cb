// SPDX-License-Identifier: Apache-2.0
//
// The forms of names; see names.h.
#include "server/names.h"

#include <algorithm>
#include <charconv>

namespace faultline::server {
namespace {

constexpr size_t kMaxId = 63;
constexpr uint64_t kNumberEnd = uint64_t{1} << 53;

bool Consume(std::string_view& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return false;
  rest.remove_prefix(prefix.size());
  return true;
}

/// Takes what comes before the next slash, or all.
std::string_view ConsumeSegment(std::string_view& rest) {
  const std::string_view segment = rest.substr(0, rest.find('/'));
  rest.remove_prefix(segment.size());
  return segment;
}

/// A decimal number in its shortest form, so that one thing has one name.
std::optional<uint64_t> ConsumeNumber(std::string_view& rest) {
  const std::string_view digits = ConsumeSegment(rest);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || (digits.size() > 1 && digits.front() == '0') || number >= kNumberEnd) return {};
  return number;
}

std::optional<std::string_view> ConsumeMachine(std::string_view& rest) {
  if (!Consume(rest, "machines/")) return {};
  const std::string_view machine = ConsumeSegment(rest);
  if (!IsId(machine)) return {};
  return machine;
}

std::optional<NumberedName> ConsumeNumbered(std::string_view& rest, std::string_view collection) {
  const auto machine = ConsumeMachine(rest);
  if (!machine || !Consume(rest, collection)) return {};
  const auto number = ConsumeNumber(rest);
  if (!number) return {};
  return NumberedName{*machine, *number};
}

}  // namespace

bool IsId(std::string_view id) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto is_allowed = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
  };
  return !id.empty() && id.size() <= kMaxId && is_letter(id.front()) &&
         std::all_of(id.begin(), id.end(), is_allowed);
}

std::optional<std::string_view> ParseMachineName(std::string_view name) {
  const auto machine = ConsumeMachine(name);
  return name.empty() ? machine : std::nullopt;
}

std::optional<NumberedName> ParseMmName(std::string_view name) {
  const auto mm = ConsumeNumbered(name, "/mms/");
  return name.empty() ? mm : std::nullopt;
}

std::optional<NumberedName> ParseFileName(std::string_view name) {
  const auto file = ConsumeNumbered(name, "/files/");
  return name.empty() ? file : std::nullopt;
}

std::optional<ThreadName> ParseThreadName(std::string_view name) {
  const auto mm = ConsumeNumbered(name, "/mms/");
  if (!mm || !Consume(name, "/threads/")) return {};
  const std::string_view thread = ConsumeSegment(name);
  if (!name.empty() || !IsId(thread)) return {};
  return ThreadName{*mm, thread};
}

std::string MachineName(std::string_view machine) { return "machines/" + std::string(machine); }

std::string MmName(std::string_view machine, uint64_t number) {
  return MachineName(machine) + "/mms/" + std::to_string(number);
}

std::string FileName(std::string_view machine, uint64_t number) {
  return MachineName(machine) + "/files/" + std::to_string(number);
}

std::string ThreadNameOf(std::string_view mm_name, std::string_view thread) {
  return std::string(mm_name) + "/threads/" + std::string(thread);
}

}  // namespace faultline::server
