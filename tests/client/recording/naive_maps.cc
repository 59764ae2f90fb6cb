// SPDX-License-Identifier: Apache-2.0
//
// A map from pages to rights. Stacks, vsyscall and what is above user space are left out of
// comparisons: no recorded call makes them.
#include "tests/client/recording/naive_maps.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/recording/concat.h"
#include "client/recording/ranges.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

constexpr uint64_t kMapShared = 0x01;
constexpr uint64_t kMapAnonymous = 0x20;

uint8_t RightsOf(uint64_t prot) { return static_cast<uint8_t>(prot & 7); }

}  // namespace

NaiveMaps::NaiveMaps(const std::vector<Mapping>& start, uint64_t brk_start)
    : pages_(PagesOfMaps(start)), break_(brk_start) {}

void NaiveMaps::Apply(const Operation& op) {
  if (op.error != 0 || op.ended != Ended::kReturned) return;
  const Range range = PagesOf(op.args[0], op.args[1]);
  switch (op.kind) {
    case OpKind::kMmap:
      Map(op);
      break;
    case OpKind::kMunmap:
      Unmap(range.start, range.end);
      break;
    case OpKind::kMremap:
      Move(op);
      break;
    case OpKind::kBrk:
      Break(op.result);
      break;
    case OpKind::kMprotect:
      for (auto page = pages_.lower_bound(range.start);
           page != pages_.end() && page->first < range.end; ++page) {
        page->second.rights =
            static_cast<uint8_t>((page->second.rights & kShared) | RightsOf(op.args[2]));
      }
      break;
    default:
      break;
  }
}

std::string NaiveMaps::Difference(const std::vector<Mapping>& maps) const {
  const std::map<uint64_t, Page> expected = PagesOfMaps(maps);
  const auto [mine, other] = std::ranges::mismatch(pages_, expected);
  if (mine == pages_.end() && other == expected.end()) return {};
  if (other == expected.end() || (mine != pages_.end() && mine->first < other->first)) {
    return Concat("page ", Hex{mine->first}, " should not be there");
  }
  if (mine == pages_.end() || other->first < mine->first) {
    return Concat("page ", Hex{other->first}, " is missing");
  }
  return Concat("page ", Hex{mine->first}, " is ", RightsText(mine->second.rights), " at ",
                mine->second.offset.value_or(0), ", should be ", RightsText(other->second.rights),
                " at ", other->second.offset.value_or(0));
}

std::string NaiveMaps::PagesIn(Range range) const {
  std::string text;
  for (auto page = pages_.lower_bound(range.start); page != pages_.end(); ++page) {
    if (page->first >= range.end) break;
    text += Concat(Hex{page->first}, " ", RightsText(page->second.rights), ";");
  }
  return text;
}

void NaiveMaps::Map(const Operation& op) {
  const Range range = MadeBy(op);
  const bool anonymous = (op.args[3] & kMapAnonymous) != 0;
  const bool shared = (op.args[3] & kMapShared) != 0;
  for (uint64_t page = range.start; page < range.end; page += kPageBytes) {
    Page& made = pages_[page];
    made.rights = static_cast<uint8_t>(RightsOf(op.args[2]) | (shared ? kShared : 0));
    made.offset.reset();
    if (!anonymous) made.offset = op.args[5] + (page - range.start);
  }
}

void NaiveMaps::Unmap(uint64_t start, uint64_t end) {
  pages_.erase(pages_.lower_bound(start), pages_.lower_bound(std::max(start, end)));
}

void NaiveMaps::Move(const Operation& op) {
  const Range from = PagesOf(op.args[0], op.args[1]);
  const Range to = MadeBy(op);
  std::vector<Page> moved;
  for (uint64_t at = from.start; at < from.end; at += kPageBytes) {
    const auto page = pages_.find(at);
    if (page != pages_.end()) moved.push_back(page->second);
  }
  if (moved.empty()) return;
  Unmap(from.start, from.end);
  for (uint64_t at = to.start; at < to.end; at += kPageBytes) {
    const uint64_t index = (at - to.start) / kPageBytes;
    Page page = moved[std::min<uint64_t>(index, moved.size() - 1)];
    if (index >= moved.size() && page.offset.has_value()) {
      *page.offset += (index - moved.size() + 1) * kPageBytes;
    }
    pages_[at] = page;
  }
}

void NaiveMaps::Break(uint64_t to) {
  const uint64_t before = PageUp(break_);
  const uint64_t after = PageUp(to);
  for (uint64_t page = before; page < after; page += kPageBytes) {
    pages_[page] = {.rights = kRead | kWrite, .offset = {}};
  }
  if (after < before) Unmap(after, before);
  break_ = to;
}

std::map<uint64_t, NaiveMaps::Page> NaiveMaps::PagesOfMaps(const std::vector<Mapping>& maps) {
  std::map<uint64_t, Page> pages;
  for (const Mapping& mapping : maps) {
    if (mapping.name == "[stack]" || mapping.name == "[vsyscall]") continue;
    for (uint64_t page = mapping.start; page < mapping.end; page += kPageBytes) {
      Page& made = pages[page];
      made.rights = mapping.rights;
      if (mapping.inode != 0) made.offset = mapping.offset + (page - mapping.start);
    }
  }
  return pages;
}

}  // namespace faultline::client
