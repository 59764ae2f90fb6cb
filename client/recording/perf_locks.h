// SPDX-License-Identifier: Apache-2.0
//
// To what a thread's acquisitions of mmap_lock belong. The events name thread and mm, not the
// cause.
//
//   in a system call        to it; but a read that follows a kernel-mode fault within it, to that
//   of the thread's own mm  to the last fault, if nothing of the thread came between
//   of another mm           to exec or fork, which make a new one: known with the next record
//   anything else           to a call that was not recorded
//
// execve and exit of a program that is not recorded in system calls look like the fault before
// them while they take the lock of the old mm; so counts of faults are upper bounds. An exec's
// acquisitions on the new mm come first, which is how the rest of them are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "client/recording/perf_line.h"
#include "client/recording/recording.h"

namespace faultline::client {

inline constexpr std::size_t kNoOperation = SIZE_MAX;

/// What a thread is in, as far as locks go. Operations are indices.
struct LockContext {
  /// The system call under way.
  std::size_t call = kNoOperation;
  /// The last fault, while nothing came behind it.
  std::size_t fault = kNoOperation;
  /// The exec that is setting up its image.
  std::size_t exec = kNoOperation;
  /// Where a write outside of calls went.
  std::size_t last_write = kNoOperation;
  /// An attempt has begun; a downgrade is an acquisition without one.
  bool attempt = false;
  /// Acquisitions since the thread was seen in another mm.
  bool elsewhere = false;
  uint64_t other_mm = 0;
  bool fault_before = false;
  Acquisitions pending;

  /// Something else happened: neither fault nor what is pending has to do with what comes.
  void Leave() {
    fault = last_write = kNoOperation;
    elsewhere = fault_before = false;
    pending = {};
  }
};

class LockAttribution {
 public:
  explicit LockAttribution(std::vector<Operation>& operations) : operations_(operations) {}

  /// `event` is kLockAcquired, of a thread in `image`.
  void Acquired(const PerfEvent& event, uint32_t image, LockContext& context);
  /// Which mm an image has; otherwise that of its first acquisition.
  void SetMm(uint32_t image, uint64_t mm) { mms_[image] = mm; }
  /// Those that belong to nothing that was recorded.
  [[nodiscard]] const Acquisitions& others() const { return others_; }
  /// What is pending belongs to nothing.
  void GiveUp(const LockContext& context);

 private:
  [[nodiscard]] std::size_t OwnerOf(const PerfEvent& event, const LockContext& context) const;

  std::vector<Operation>& operations_;
  absl::flat_hash_map<uint32_t, uint64_t> mms_;
  Acquisitions others_;
};

}  // namespace faultline::client
