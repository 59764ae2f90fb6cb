// SPDX-License-Identifier: Apache-2.0
//
// One thing for a thread of a workload to do, as Script hands it out: an operation of attach.proto
// with its arguments, or something that only a host can do, such as being the child of a fork.
//
// An operation may be relative to what an earlier one gave, as the address of a mapping that went
// wherever there was room. Such values live in slots: an operation names the slot that it is
// relative to and the slot that its value goes to, and whoever carries it out keeps the slots
// (SlotValues), or makes bases of them (BatchPacker).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/workload.pb.h"
#include "proto/columns/kinds.h"

namespace faultline::workload {

/// Bytes of a page, as the API has them.
inline constexpr uint64_t kPageBytes = 4096;

/// A value that later operations are relative to. Each thread has its own.
enum class Slot : uint8_t {
  kNone,
  kBreak,   ///< the break, as the last brk gave it
  kMapped,  ///< where the last mapping went that was put somewhere
};

/// What has to be done.
enum class Action : uint8_t {
  kCall,      ///< the operation `kind`
  kFork,      ///< fork; what follows up to kChildEnd is done in the child. If it fails, SkipChild
  kChildEnd,  ///< the child exits, and the parent goes on
  kObserve,   ///< `file` is read from beginning to end, in `mode`
  kNothing,   ///< a step that has nothing to do just now
};

struct Operation {
  Action action = Action::kNothing;
  /// It ends its step. Of a fork that is kChildEnd.
  bool last_of_step = true;
  /// The address is relative to this slot; if that has no value since its operation failed, this
  /// one is not done and counts as failed, and the rest of its step is left out (SkipStep).
  Slot base = Slot::kNone;
  /// Where its value goes.
  Slot result = Slot::kNone;
  /// What it belongs to. Regions that are mapped count as kMap, their population as kTouch.
  v1::Step::StepCase step = v1::Step::STEP_NOT_SET;
  /// kCall: what, with these arguments, of which a kind takes TraitsOf(kind).arguments.
  v1::OperationKind kind = v1::OPERATION_KIND_UNSPECIFIED;
  uint64_t address = 0;
  uint64_t length = 0;
  std::array<uint64_t, columns::kMaxArguments> argument{};
  /// kObserve: never UNSPECIFIED.
  v1::ObservedFile file = v1::OBSERVED_FILE_UNSPECIFIED;
  v1::ReadMode mode = v1::READ_MODE_UNSPECIFIED;

  [[nodiscard]] std::span<const uint64_t> arguments() const {
    return std::span(argument).first(columns::TraitsOf(kind).arguments);
  }
};

}  // namespace faultline::workload
