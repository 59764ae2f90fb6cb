// SPDX-License-Identifier: Apache-2.0
//
// LabThread: one thread of a workload inside the server. It carries out its script on the core,
// without any call between, and keeps its own figures: nobody else writes them, and who reads them
// meanwhile sees whole numbers.
//
// A round counts if it ended while it was measured; the one that the end cuts short does not.
// Operations count one by one, whatever the round.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/mm/mm.h"
#include "core/pagecache/mapping.h"
#include "core/sync/duration_histogram.h"
#include "core/sync/task.h"
#include "proto/workload/operation.h"
#include "proto/workload/pacer.h"
#include "proto/workload/plan.h"
#include "proto/workload/script.h"
#include "proto/workload/slots.h"
#include "server/lab_gate.h"

namespace faultline::server {

/// Kinds of steps, by v1::Step::StepCase.
inline constexpr size_t kStepKinds = 13;

/// What a thread has done so far. All but `steps` is there from the start.
struct LabFigures {
  TaskCounter rounds;           ///< since the start
  TaskCounter operations;       ///< since the start
  TaskCounter failed;           ///< since the start
  TaskCounter measured_rounds;  ///< as the ones below
  TaskCounter late_rounds;
  TaskHistogram round_latency;
  TaskHistogram round_service;
  std::array<TaskHistogram, kStepKinds> steps;
};

class LabThread {
 public:
  /// What it is given. All of it outlives the thread's run.
  struct Role {
    const workload::Plan& plan;
    workload::ScriptIdentity identity;  ///< `files` are indices of `files` below
    std::span<Mapping* const> files;
    Mm& mm;            ///< the caller has a use of it
    Mm* observed;      ///< what it reads as an observer; the caller has a use; null: nothing
    bool maps_for_mm;  ///< it maps what all threads of its mm share
    bool times_steps;
  };

  LabThread(Role role, LabGate& gate);
  LabThread(const LabThread&) = delete;
  LabThread& operator=(const LabThread&) = delete;

  /// From the mapping of regions to the end; on a thread of the host of its own.
  void Run();

  [[nodiscard]] const LabFigures& figures() const { return figures_; }
  /// CPU time of its thread of the host; 0 before it is ready. While it has not left.
  [[nodiscard]] uint64_t CpuNs() const;

 private:
  void Loop(uint64_t started_ns);
  /// When the next round is to begin; nothing: it is over.
  struct RoundStart {
    uint64_t intended_ns;
    bool late;
  };
  [[nodiscard]] std::optional<RoundStart> AwaitRound(uint64_t started_ns);
  /// False if it was cut short.
  bool Perform(workload::Script::Part part);
  void CarryOut(const workload::Operation& op);
  void Call(const workload::Operation& op);
  /// The file that it maps; null: none.
  [[nodiscard]] Mapping* FileOf(const workload::Operation& op) const;
  void Fork();
  void EndChild();
  void Pause(uint64_t nanoseconds);
  void CountFailure();
  void Failed(const workload::Operation& op);
  void BeginStep();
  void EndStep(v1::Step::StepCase step);

  const Role role_;
  LabGate& gate_;
  workload::Script script_;
  workload::SlotValues slots_;
  std::optional<workload::Pacer> pacer_;
  workload::Operation op_;
  Task* task_ = nullptr;
  Mm* mm_;  ///< its own, or that of the child that it is just now
  /// Those that it will be again when the child has ended.
  std::vector<Mm*> parents_;
  /// When the steps under way began: one, and one for each fork that it is in.
  std::vector<uint64_t> step_begins_;
  bool in_step_ = false;
  uint64_t round_ended_ns_ = 0;  ///< the last one
  std::atomic<clockid_t> cpu_clock_;
  std::atomic<bool> has_cpu_clock_{false};
  LabFigures figures_;
};

}  // namespace faultline::server
