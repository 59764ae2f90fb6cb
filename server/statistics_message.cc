// SPDX-License-Identifier: Apache-2.0
//
// Filling in statistics; see statistics_message.h. Enums have the core's names and begin at 1
// (tests/proto compares them), so a number of the core's is one less than the API's.
#include "server/statistics_message.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/machine/vmstat.h"
#include "core/observe/activity.h"
#include "core/pgtable/mm_counters.h"
#include "core/vma/merge.h"
#include "server/api_enums.h"
#include "server/fault_statistics.h"
#include "server/names.h"
#include "server/options.h"

namespace faultline::server {
namespace {

/// Sums over CPUs may be read while they change, and be below zero for that moment.
uint64_t Positive(int64_t count) { return static_cast<uint64_t>(std::max<int64_t>(count, 0)); }

template <class Counts>
void AddMerges(const Counts& counts, google::protobuf::RepeatedPtrField<v1::MergeCount>& out) {
  for (size_t i = 0; i < counts.size(); ++i) {
    const uint64_t count = counts[i].Get();
    if (count == 0) continue;
    v1::MergeCount& merges = *out.Add();
    merges.set_refusal(ToApi<v1::MergeRefusal>(static_cast<MergeRefusal>(i)));
    merges.set_count(count);
  }
}

/// Which class, and how it was taken by whom.
struct LockLine {
  LockRank rank;
  v1::Activity caller;
  v1::LockMode mode;
  uint64_t shared;
  uint64_t exclusive;
};

template <class Stats>
void AddLine(const LockLine& line, const Stats& stats, v1::GetLockStatisticsResponse& out) {
  v1::LockStatistics& lock = *out.add_locks();
  lock.set_rank(ToProto(line.rank));
  lock.set_caller(line.caller);
  lock.set_mode(line.mode);
  lock.set_shared(line.shared);
  lock.set_exclusive(line.exclusive);
  lock.set_contended(stats.contended);
  lock.set_killed(stats.killed);
  ToProto(stats.wait, *lock.mutable_wait());
  ToProto(stats.hold, *lock.mutable_hold());
  lock.set_longest_wait_holder(stats.longest_wait_holder);
}

}  // namespace

void ToProto(const MmUse& use, v1::MmStatistics& out) {
  Mm& mm = use.mm();
  const auto count = [&](MmCounter counter) { return Positive(mm.counters().Sum(counter)); };
  out.set_mm(use->name());
  ToProto(mm.fault_stats().Snapshot(), *out.mutable_faults());
  out.set_anon_pages(count(MmCounter::kAnonPages));
  out.set_file_pages(count(MmCounter::kFilePages));
  out.set_shmem_pages(count(MmCounter::kShmemPages));
  out.set_tables(count(MmCounter::kTables));
  out.set_map_count(mm.map_count());
  out.set_max_map_count(mm.options().max_map_count);
  const MmPages& pages = mm.pages();
  out.set_total_pages(pages.total);
  out.set_data_pages(pages.data);
  out.set_exec_pages(pages.exec);
  out.set_stack_pages(pages.stack);
  out.set_locked_pages(pages.locked);
  out.set_committed_pages(pages.committed);
  const MergeCounts& merges = mm.merge_counts();
  out.set_splits(merges.splits);
  AddMerges(merges.previous, *out.mutable_merges_with_previous());
  AddMerges(merges.next, *out.mutable_merges_with_next());
}

void ToProto(MachineEntry& machine, v1::MachineStatistics& out) {
  const FrameAllocator& frames = machine.machine().frames();
  out.set_machine(MachineName(machine.id()));
  out.set_total_frames(frames.total_frames());
  out.set_free_frames(frames.free_frames());
  out.set_watermark_min_frames(frames.watermarks().min);
  out.set_watermark_low_frames(frames.watermarks().low);
  out.set_watermark_high_frames(frames.watermarks().high);
  for (size_t i = 0; i < static_cast<size_t>(AllocEvent::kCount); ++i) {
    const uint64_t count = Positive(frames.events().Sum(static_cast<AllocEvent>(i)));
    if (count == 0) continue;
    v1::AllocEventCount& event = *out.add_alloc_events();
    event.set_event(ToApi<v1::AllocEvent>(static_cast<AllocEvent>(i)));
    event.set_count(count);
  }
  for (const VmStatValue& counter : VmStat(machine.machine())) {
    (*out.mutable_vmstat())[std::string(counter.name)] = counter.value;
  }
  ToProto(machine.machine().FaultStatistics(), *out.mutable_faults());
}

void AddTo(const LockStatsSnapshot& stats, v1::GetLockStatisticsResponse& out) {
  for (size_t i = 0; i < stats.size(); ++i) {
    const auto rank = static_cast<LockRank>(i);
    const LockClassStats& one = stats[i];
    // Ranks of tests have no name in the API.
    if (rank >= LockRank::kTestOuter) break;
    if (one.shared + one.exclusive + one.contended + one.hold.count == 0) continue;
    AddLine({.rank = rank,
             .caller = v1::ACTIVITY_UNSPECIFIED,
             .mode = v1::LOCK_MODE_UNSPECIFIED,
             .shared = one.shared,
             .exclusive = one.exclusive},
            one, out);
  }
}

void AddTo(const LockStatsByCaller& stats, v1::GetLockStatisticsResponse& out) {
  constexpr auto kActivities = static_cast<uint16_t>(Activity::kCount);
  for (const LockRank rank : kRanksByCaller) {
    for (uint16_t tag = 0; tag < kActivities; ++tag) {
      for (const LockMode mode : {LockMode::kShared, LockMode::kExclusive}) {
        const LockCallerStats& one = stats.Of(rank, tag, mode);
        if (one.empty()) continue;
        const bool shared = mode == LockMode::kShared;
        AddLine({.rank = rank,
                 .caller = ToProto(ActivityOf(tag)),
                 .mode = ToApi<v1::LockMode>(mode),
                 .shared = shared ? one.acquired : 0,
                 .exclusive = shared ? 0 : one.acquired},
                one, out);
      }
    }
  }
}

}  // namespace faultline::server
