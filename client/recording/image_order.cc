// SPDX-License-Identifier: Apache-2.0
//
// Each operation is put into the structures once and taken out by the change that covers it, so the
// work is in proportion to the operations, times a logarithm; but for calls that failed, of which a
// program has few.
#include "client/recording/image_order.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "client/recording/ranges.h"
#include "client/recording/replay_order.h"

namespace faultline::client {

void ImageOrder::Touch(uint64_t address, ReplayWait by, std::vector<ReplayWait>& before) {
  const uint64_t page = PageDown(address);
  WaitForChanges({page, page + kPageBytes}, before);
  std::vector<ReplayWait>& touches = touches_[page];
  const auto mine = std::ranges::find(touches, by.thread, &ReplayWait::thread);
  if (mine != touches.end()) {
    *mine = by;
  } else {
    touches.push_back(by);
  }
}

void ImageOrder::Read(Range range, ReplayWait by, std::vector<ReplayWait>& before) {
  if (range.empty()) return;
  WaitForChanges(range, before);
  reads_.push_back({.range = range, .by = by});
}

void ImageOrder::Change(Range range, ReplayWait by, std::vector<ReplayWait>& before) {
  if (range.empty()) return;
  WaitForChanges(range, before);
  const auto first = touches_.lower_bound(range.start);
  const auto last = touches_.lower_bound(range.end);
  for (auto page = first; page != last; ++page) {
    before.insert(before.end(), page->second.begin(), page->second.end());
  }
  touches_.erase(first, last);
  for (const RangeRead& read : reads_) {
    if (Overlap(read.range, range)) before.push_back(read.by);
  }
  std::erase_if(reads_, [&](const RangeRead& read) {
    return range.start <= read.range.start && read.range.end <= range.end;
  });
  SplitAt(range.start);
  SplitAt(range.end);
  changes_.erase(changes_.lower_bound(range.start), changes_.lower_bound(range.end));
  changes_[range.start] = {.end = range.end, .by = by};
}

void ImageOrder::Break(uint64_t to, ReplayWait by, std::vector<ReplayWait>& before) {
  if (last_break_.has_value()) before.push_back(*last_break_);
  last_break_ = by;
  const uint64_t from = break_ == 0 ? to : break_;
  break_ = to;
  Change({PageUp(std::min(from, to)), PageUp(std::max(from, to))}, by, before);
}

void ImageOrder::WaitForChanges(Range range, std::vector<ReplayWait>& before) const {
  auto segment = changes_.upper_bound(range.start);
  if (segment != changes_.begin() && std::prev(segment)->second.end > range.start) --segment;
  for (; segment != changes_.end() && segment->first < range.end; ++segment) {
    before.push_back(segment->second.by);
  }
}

void ImageOrder::SplitAt(uint64_t address) {
  auto segment = changes_.lower_bound(address);
  if (segment == changes_.begin()) return;
  --segment;
  if (segment->second.end <= address) return;
  changes_[address] = segment->second;
  segment->second.end = address;
}

}  // namespace faultline::client
