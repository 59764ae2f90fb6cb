// SPDX-License-Identifier: Apache-2.0
//
// Who did what last to which addresses of an image, for replay_order: changes as ranges, faults as
// pages, calls that failed as a short list.
//
// A change takes the place of all that was before it in its range: what comes behind waits for the
// change, and the change waited for them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "client/recording/ranges.h"
#include "client/recording/replay_order.h"

namespace faultline::client {

class ImageOrder {
 public:
  /// `by`: the step, as something to wait for. Each appends to `before` what it must wait for;
  /// waits for the thread itself and several for one thread may be among them.
  void Touch(uint64_t address, ReplayWait by, std::vector<ReplayWait>& before);
  void Read(Range range, ReplayWait by, std::vector<ReplayWait>& before);
  void Change(Range range, ReplayWait by, std::vector<ReplayWait>& before);
  /// brk, which moves the break from where it is to `to`.
  void Break(uint64_t to, ReplayWait by, std::vector<ReplayWait>& before);
  void SetBreak(uint64_t address) { break_ = address; }
  [[nodiscard]] uint64_t brk() const { return break_; }

 private:
  struct Segment {
    uint64_t end = 0;
    ReplayWait by;
  };
  struct RangeRead {
    Range range;
    ReplayWait by;
  };
  void WaitForChanges(Range range, std::vector<ReplayWait>& before) const;
  /// Cuts a segment that reaches over `address` in two.
  void SplitAt(uint64_t address);

  /// By start; they do not overlap.
  std::map<uint64_t, Segment> changes_;
  /// By page: the last of each thread since the last change.
  std::map<uint64_t, std::vector<ReplayWait>> touches_;
  std::vector<RangeRead> reads_;
  uint64_t break_ = 0;
  std::optional<ReplayWait> last_break_;
};

}  // namespace faultline::client
