// SPDX-License-Identifier: Apache-2.0
//
// LabTurn: one measurement of a workload under one scheme. It makes the files, mms and threads that
// the workload asks for, lets them run, reads the figures before and after, and takes all of it
// away again.
//
// The mms are registered with their machine, as those of clients, and count against its limits.
// Guarantee: when a turn has ended (its destructor), its frames are free and its files are gone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/observe/fault_counters.h"
#include "faultline/v1/lab.pb.h"
#include "proto/workload/plan.h"
#include "server/fault_statistics.h"
#include "server/lab_gate.h"
#include "server/lab_request.h"
#include "server/lab_thread.h"
#include "server/machine_entry.h"
#include "server/mm_entry.h"
#include "server/refusal.h"
#include "server/worker_pool.h"

namespace faultline::server {

class LabTurn {
 public:
  /// Which one it is, in results.
  struct Which {
    uint32_t scheme_index;
    uint32_t repeat;
  };
  using OnProgress = std::function<void(const v1::WorkloadProgress&)>;

  /// All of it outlives the turn. There are places for the threads among Limits.max_threads, and
  /// `executors` may have a thread of the host for each.
  LabTurn(const WorkloadSettings& settings, const workload::Plan& plan, WorkerPool& executors,
          Which which);
  ~LabTurn();
  LabTurn(const LabTurn&) = delete;
  LabTurn& operator=(const LabTurn&) = delete;

  /// Makes files, mms and threads; a limit of the server may refuse.
  [[nodiscard]] MaybeRefusal Prepare();
  /// After Prepare. MM_EXITED if somebody else ended one of its mms, OVERLOADED if the host refuses
  /// threads. A result that was stopped means nothing.
  [[nodiscard]] MaybeRefusal Run(const OnProgress& on_progress, v1::WorkloadResult& result);
  /// Ends Run soon. Any thread, after Prepare; does not wait.
  void Stop();

 private:
  /// Figures at one moment.
  struct Reading {
    uint64_t at_ns = 0;
    uint64_t cpu_ns = 0;          ///< of its threads
    uint64_t foreign_cpu_ns = 0;  ///< of everybody else on the host
    FaultStatsSnapshot faults;
    LockReading locks;
    std::vector<uint64_t> operations;  ///< by thread
    std::vector<uint64_t> failed;      ///< by thread
  };

  [[nodiscard]] MaybeRefusal MakeFiles();
  [[nodiscard]] OrRefusal<Mm*> MakeMm();
  [[nodiscard]] MaybeRefusal MakeThreads();
  [[nodiscard]] std::vector<Mapping*> FilesOf(uint32_t thread) const;
  /// All, or none is running any more: a host that gives no more threads refuses it.
  [[nodiscard]] MaybeRefusal StartThreads();
  /// Waits with progress until that time; false: it is over.
  [[nodiscard]] bool Track(uint64_t until_ns, LabGate::Until until);
  [[nodiscard]] bool Measure();
  [[nodiscard]] Reading Read() const;
  void SendProgress();
  void Fill(const Reading& before, const Reading& after, v1::WorkloadResult& result) const;
  void FillActor(const Reading& before, const Reading& after, size_t first_thread,
                 const workload::PlannedActor& actor, v1::ActorResult& out) const;

  const WorkloadSettings& settings_;
  const workload::Plan& plan_;
  WorkerPool& executors_;
  const Which which_;
  const OnProgress* on_progress_ = nullptr;
  uint64_t started_ns_ = 0;
  uint64_t next_progress_ns_ = 0;
  /// By file of the plan: one, or one for each thread.
  std::vector<std::vector<MachineEntry::File>> files_;
  std::vector<MmUse> mms_;
  std::unique_ptr<LabGate> gate_;
  /// By thread: what its role's span is of.
  std::vector<std::vector<Mapping*>> mappings_;
  std::vector<std::unique_ptr<LabThread>> threads_;
  std::atomic<bool> stopped_{false};
};

}  // namespace faultline::server
