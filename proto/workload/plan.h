// SPDX-License-Identifier: Apache-2.0
//
// A workload made ready to be carried out: names are numbers, defaults are filled in, nested steps
// are a flat list, and every region has its address.
//
// Addresses depend on the workload and the number of threads alone, so that the same run has the
// same addresses wherever it is expanded. Regions lie below all that an mm places itself, each at a
// multiple of 2 MiB and with at least 2 MiB free behind it: neighbouring anonymous regions would
// merge, and a workload that wants that has both neighbours in one region.
//
// A plan never changes once it is made; threads share it without locks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/workload.pb.h"
#include "proto/workload/operation.h"

namespace faultline::workload {

/// The room that regions of an mm lie in.
inline constexpr uint64_t kRegionSpaceStart = uint64_t{1} << 44;
inline constexpr uint64_t kRegionSpaceBytes = uint64_t{1} << 45;
/// What a region of that length takes of it.
[[nodiscard]] constexpr uint64_t SpaceOf(uint64_t region_length) {
  constexpr uint64_t kUnit = uint64_t{1} << 21;
  return (region_length + kUnit - 1) / kUnit * kUnit + kUnit;
}

/// The part of `pages` that thread `thread` of `threads` has as its own: first page and how many.
/// Together the parts are all pages, in the order of the threads, equal but for one page.
struct PagePart {
  uint64_t first;
  uint64_t pages;
};
[[nodiscard]] constexpr PagePart OwnPart(uint64_t pages, uint32_t thread, uint32_t threads) {
  const uint64_t each = pages / threads;
  const uint64_t rest = pages % threads;
  const uint64_t larger_before = thread < rest ? thread : rest;
  return {.first = each * thread + larger_before, .pages = each + (thread < rest ? 1 : 0)};
}

/// No region, no file.
inline constexpr uint32_t kNobody = UINT32_MAX;

/// A Span by number.
struct PlannedSpan {
  uint32_t region = kNobody;
  bool own_part = false;
  uint64_t offset = 0;
  uint64_t length = 0;  ///< 0: to the end
};

/// One step. Which fields count is said by `step` and `kind`.
struct PlannedStep {
  v1::Step::StepCase step = v1::Step::STEP_NOT_SET;
  /// Of its operations; of a touch of what was mapped somewhere, of those.
  v1::OperationKind kind = v1::OPERATION_KIND_UNSPECIFIED;
  v1::PageOrder order = v1::PAGE_ORDER_ASCENDING;
  bool resume = false;      ///< touch
  bool random = false;      ///< pause
  PlannedSpan span;         ///< what it works on
  uint32_t target = 0;      ///< remap: 1 + an index of Plan::targets(); 0: it stays
  uint32_t cursor = 0;      ///< touch with resume: which of the thread's cursors
  uint32_t file = kNobody;  ///< map
  uint32_t end = 0;         ///< repeat, fork: behind its body, which begins with the next step
  /// Touch: pages, 0 for all. Map somewhere: the kind of its touches, 0 for none. Repeat: how
  /// often. Pause: nanoseconds.
  uint64_t count = 0;
  uint64_t stride = 1;                ///< touch, in pages
  std::array<uint64_t, 2> numbers{};  ///< arguments of the call: prot, flags; prot; advice; by
  v1::ObservedFile observed = v1::OBSERVED_FILE_MAPS;
  v1::ReadMode mode = v1::READ_MODE_WHOLE_LOCK;
};

/// A run of steps, as indices of Plan::steps().
struct StepRange {
  uint32_t begin = 0;
  uint32_t end = 0;
};

struct PlannedFile {
  uint64_t size = 0;
  bool per_thread = false;
};

struct PlannedRegion {
  uint64_t length = 0;
  bool per_thread = false;
  /// In the room for regions, of the first thread's if each has one.
  uint64_t address = 0;
};

struct PlannedActor {
  std::string name;
  uint32_t threads = 1;
  bool own_mm = false;
  uint64_t rounds = 0;  ///< 0: until the time is over
  std::optional<v1::Pace> pace;
  StepRange setup;
  StepRange loop;
  uint32_t cursors = 0;      ///< how many its threads need
  uint32_t first_in_mm = 0;  ///< the place of its first thread among those of the shared mm
};

class Plan {
 public:
  /// `workload` is one to which WhyBad says nothing with that number of threads.
  Plan(const v1::Workload& workload, uint32_t threads);

  [[nodiscard]] const std::vector<PlannedFile>& files() const { return files_; }
  [[nodiscard]] const std::vector<PlannedRegion>& regions() const { return regions_; }
  [[nodiscard]] const std::vector<PlannedActor>& actors() const { return actors_; }
  [[nodiscard]] const std::vector<PlannedStep>& steps() const { return steps_; }
  [[nodiscard]] const std::vector<PlannedSpan>& targets() const { return targets_; }
  /// Threads of all actors together.
  [[nodiscard]] uint32_t threads() const { return threads_; }
  /// Some actor's threads share an mm.
  [[nodiscard]] bool has_shared_mm() const;

  /// Maps and fills the regions that all threads of an mm share: once for each mm.
  [[nodiscard]] StepRange map_for_mm() const { return map_for_mm_; }
  /// Maps and fills a thread's own regions, before its setup.
  [[nodiscard]] StepRange map_for_thread() const { return map_for_thread_; }

  /// Where the regions are for that thread of that actor.
  [[nodiscard]] std::vector<uint64_t> RegionAddresses(uint32_t actor, uint32_t thread) const;

 private:
  std::vector<PlannedFile> files_;
  std::vector<PlannedRegion> regions_;
  std::vector<PlannedActor> actors_;
  std::vector<PlannedStep> steps_;
  std::vector<PlannedSpan> targets_;
  uint32_t threads_ = 0;
  /// How far the regions of a thread are from those of the thread before.
  uint64_t per_thread_bytes_ = 0;
  StepRange map_for_mm_;
  StepRange map_for_thread_;
};

}  // namespace faultline::workload
