// SPDX-License-Identifier: Apache-2.0
//
// Tokens: 16 digits of checksum over instance, list and position, then the position; see
// page_token.h. The checksum guards against mistakes, not against people: whoever makes one up gets
// a page of a list that they may read anyway.
#include "server/page_token.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

/// FNV-1a: the same on every machine, unlike std::hash.
uint64_t Checksum(const Epoch& epoch, std::string_view list, std::string_view position) {
  uint64_t sum = 0xcbf29ce484222325;
  const auto add = [&sum](std::string_view text) {
    for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    sum = (sum ^ 0xff) * 0x100000001b3;  // where one text ends
  };
  add(std::to_string(epoch.value()));
  add(list);
  add(position);
  return sum;
}

Refusal Invalid(std::string_view token) {
  return {.reason = v1::ERROR_REASON_INVALID_PAGE_TOKEN,
          .field = "page_token",
          .value = std::string(token),
          .allowed = "next_page_token of the same list and instance, or nothing"};
}

}  // namespace

size_t PageSize(uint32_t asked, size_t by_default, const Limits& limits) {
  const size_t size = asked == 0 ? by_default : size_t{asked};
  return std::min<size_t>(size, limits.max_page_size);
}

std::string PageToken(const Epoch& epoch, std::string_view list, std::string_view position) {
  return absl::StrCat(absl::Hex(Checksum(epoch, list, position), absl::kZeroPad16),
                      absl::BytesToHexString(std::string(position)));
}

OrRefusal<std::string> PagePosition(const Epoch& epoch, std::string_view list,
                                    std::string_view token) {
  if (token.empty()) return std::string();
  constexpr size_t kSumDigits = 16;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (token.size() <= kSumDigits || token.size() % 2 != 0 ||
      !std::all_of(token.begin(), token.end(), is_hex)) {
    return Invalid(token);
  }
  std::string position = absl::HexStringToBytes(std::string(token.substr(kSumDigits)));
  if (PageToken(epoch, list, position) != token) return Invalid(token);
  return position;
}

std::string PageToken(const Epoch& epoch, std::string_view list, uint64_t position) {
  return PageToken(epoch, list, std::string_view(std::to_string(position)));
}

OrRefusal<uint64_t> PageNumber(const Epoch& epoch, std::string_view list, std::string_view token) {
  OrRefusal<std::string> position = PagePosition(epoch, list, token);
  if (!position.ok()) return std::move(position.refusal());
  uint64_t number = 0;
  const char* const end = position->data() + position->size();
  if (token.empty()) return number;
  const auto parsed = std::from_chars(position->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return Invalid(token);
  return number;
}

}  // namespace faultline::server
