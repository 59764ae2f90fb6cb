// SPDX-License-Identifier: Apache-2.0
//
// What one thread of a workload does, operation by operation: the one expansion of workloads, used
// by the server, which carries operations out on the core, by clients, which pack them in batches,
// and by benches.
//
// Operations are made when they are asked for. Nothing is allocated after the construction, and
// between two pages of a touch there are a few instructions. What is random depends on seed, actor
// and thread alone, not on how operations ended.
//
//   script.Begin(Script::Part::kLoop);                     // one round
//   for (Operation op; script.Next(op);) CarryOut(op);
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "faultline/v1/attach.pb.h"
#include "faultline/v1/workload.pb.h"
#include "proto/workload/operation.h"
#include "proto/workload/plan.h"
#include "proto/workload/random.h"

namespace faultline::workload {

/// Whose script it is, and what its names stand for.
struct ScriptIdentity {
  uint64_t seed = 0;
  uint32_t actor = 0;   ///< index of Plan::actors()
  uint32_t thread = 0;  ///< among the actor's, from 0
  /// The numbers of the files that its workload made, in the order of Plan::files(); of those that
  /// each thread has, this thread's.
  // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
  std::vector<uint64_t> files = {};
};

class Script {
 public:
  /// Which part of the thread's life comes next.
  enum class Part : uint8_t {
    kMapForMm,      ///< regions of the mm: by one thread of each mm
    kMapForThread,  ///< the thread's own regions
    kSetup,         ///< the setup of its actor, after a brk that asks where the break is if need be
    kLoop,          ///< one round
  };

  /// `plan` outlives it.
  Script(const Plan& plan, ScriptIdentity identity);

  /// The next operations are those of `part`, whatever was left of the one before.
  void Begin(Part part);

  /// Fills in the next operation; false: the part is over. `op` is the same object every time, or
  /// one that has its default values: of what a kind does not use nothing is written.
  bool Next(Operation& op) {
    if (touches_.left == 0) return NextStep(op);
    NextTouch(op);
    return true;
  }

  /// Leaves out what remains of the step under way.
  void SkipStep() { touches_.left = 0; }
  /// After kFork: leaves out the child, its end included.
  void SkipChild();

 private:
  /// Steps that are under way: the part's, a repeat's or a child's.
  struct Frame {
    uint32_t begin = 0;
    uint32_t next = 0;
    uint32_t end = 0;
    uint64_t times_left = 0;
    bool child = false;
    // What the parent has when its child is through; of a child alone.
    Random parent_random{0};
    uint64_t parent_mapped = 0;
  };
  /// Touches that are under way.
  struct Touches {
    uint64_t left = 0;
    uint64_t position = 0;
    uint64_t positions = 1;
    uint64_t address = 0;
    uint64_t stride_bytes = kPageBytes;
    v1::PageOrder order = v1::PAGE_ORDER_ASCENDING;
    v1::OperationKind kind = v1::OPERATION_KIND_TOUCH_READ;
    v1::Step::StepCase step = v1::Step::kTouch;
    Slot base = Slot::kNone;
    Random random{0};     ///< of this step alone, so that leaving its rest out changes no other
    uint64_t orders = 0;  ///< what the shuffled orders of all laps are made from
    uint64_t lap = 0;
    Permutation permutation;  ///< of this lap
  };
  /// Where a touch that resumes goes on.
  struct Cursor {
    uint64_t position = 0;
    uint64_t lap = 0;
    std::optional<uint64_t> orders;  ///< from its first round on
  };
  struct Range {
    uint64_t address;
    uint64_t length;
  };

  bool NextStep(Operation& op);
  bool EndFrame(Operation& op);
  void Enter(const PlannedStep& step);
  void StartStep(const PlannedStep& step, Operation& op);
  void StartTouch(const PlannedStep& step);
  void Resume(Cursor& cursor);
  void NextTouch(Operation& op);
  [[nodiscard]] uint64_t NextPosition();
  void ShuffleLap();
  void Map(const PlannedStep& step, Operation& op);
  void Unmap(const PlannedStep& step, Operation& op);
  void Remap(const PlannedStep& step, Operation& op) const;
  void Brk(const PlannedStep& step, Operation& op) const;
  void Pause(const PlannedStep& step, Operation& op);
  [[nodiscard]] Range RangeOf(const PlannedSpan& span) const;

  /// The part itself, and forks and repeats, which are nested at most four deep.
  static constexpr uint32_t kMaxFrames = 5;

  const Plan& plan_;
  const PlannedActor& actor_;
  const uint32_t thread_;
  const std::vector<uint64_t> files_;
  const std::vector<uint64_t> addresses_;
  Random random_;
  std::vector<Cursor> cursors_;  ///< by PlannedStep::cursor
  std::array<Frame, kMaxFrames> frames_;
  uint32_t depth_ = 0;
  /// The setup has a brk of its own to begin with.
  bool uses_break_;
  bool ask_break_ = false;
  Touches touches_;
  /// Bytes of what was mapped somewhere last; 0: there is nothing.
  uint64_t mapped_ = 0;
};

}  // namespace faultline::workload
