// SPDX-License-Identifier: Apache-2.0
//
// From the core's counters to families of metrics; see machine_metrics.h. What is zero is left out
// where there are many: most faults leave most rungs for few reasons.
#include "server/machine_metrics.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include "core/machine/vmstat.h"
#include "core/observe/fault_counters.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/duration_histogram.h"
#include "core/sync/lock_rank.h"
#include "core/sync/lock_stats.h"
#include "server/metrics.h"

namespace faultline::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  return {name, help, type, {}};
}

void AddCounter(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.counter.value = value;
}

void AddGauge(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.gauge.value = value;
}

void AddHistogram(MetricFamily& family, Labels labels, const DurationHistogram& durations) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.histogram.sample_sum = static_cast<double>(durations.total_ns) * 1e-9;
  // The last bucket has no upper end: it is the serializer's +Inf.
  for (size_t b = 0; b < durations.buckets.size(); ++b) {
    metric.histogram.sample_count += durations.buckets[b];
    if (b + 1 == durations.buckets.size()) break;
    metric.histogram.bucket.push_back(
        {metric.histogram.sample_count, static_cast<double>(uint64_t{2} << b) * 1e-9});
  }
}

/// Families with a label for the machine.
struct OfMachines {
  MetricFamily mms = Family("faultline_mms", "Mms that are not torn down", MetricType::Gauge);
  MetricFamily frames =
      Family("faultline_frames", "Simulated memory in frames of 4096 bytes", MetricType::Gauge);
  MetricFamily vmstat =
      Family("faultline_vmstat", "By Linux's names; nr_ is what there is, the rest counts",
             MetricType::Untyped);
  MetricFamily faults =
      Family("faultline_faults_total",
             "Faults that ended, by the rung of the ladder on which they did", MetricType::Counter);
  MetricFamily left = Family("faultline_fault_rungs_left_total",
                             "How often a fault left a rung, or did not get onto it, by the reason",
                             MetricType::Counter);
};

void AddFaults(const std::string& machine, const FaultStatsSnapshot& faults, OfMachines& families) {
  for (size_t r = 0; r < FaultStatsSnapshot::kRungs; ++r) {
    const std::string rung(Name(static_cast<FaultRung>(r)));
    for (size_t k = 0; k < FaultStatsSnapshot::kKinds; ++k) {
      if (faults.by_kind[r][k] == 0) continue;
      const std::string kind(Name(static_cast<FaultKind>(k)));
      AddCounter(families.faults, {{"machine", machine}, {"rung", rung}, {"kind", kind}},
                 static_cast<double>(faults.by_kind[r][k]));
    }
    for (size_t why = 0; why < FaultStatsSnapshot::kReasons; ++why) {
      const auto reason = static_cast<LeaveReason>(why);
      if (reason == LeaveReason::kNone || faults.by_reason[r][why] == 0) continue;
      AddCounter(families.left,
                 {{"machine", machine}, {"rung", rung}, {"reason", std::string(Name(reason))}},
                 static_cast<double>(faults.by_reason[r][why]));
    }
  }
}

void AddMachine(MachineEntry& entry, OfMachines& families) {
  Machine& machine = entry.machine();
  AddGauge(families.mms, {{"machine", entry.id()}}, static_cast<double>(entry.mm_count()));
  AddGauge(families.frames, {{"machine", entry.id()}},
           static_cast<double>(machine.frames().total_frames()));
  for (const VmStatValue& stat : VmStat(machine)) {
    ClientMetric& metric = families.vmstat.metric.emplace_back();
    metric.label = {{"machine", entry.id()}, {"name", std::string(stat.name)}};
    metric.untyped.value = static_cast<double>(stat.value);
  }
  AddFaults(entry.id(), machine.FaultTotals(), families);
}

/// Locks of the whole server, as far as they are counted: LockStatsLevel.
std::vector<MetricFamily> LockFamilies() {
  MetricFamily taken = Family("faultline_lock_acquisitions_total", "How often locks were taken",
                              MetricType::Counter);
  MetricFamily waits =
      Family("faultline_lock_wait_seconds", "How long those who had to wait waited for a lock",
             MetricType::Histogram);
  const LockStatsSnapshot locks = SnapshotLockStats();
  for (size_t rank = 0; rank < locks.size(); ++rank) {
    const LockClassStats& lock = locks[rank];
    if (lock.shared + lock.exclusive + lock.contended == 0) continue;
    const std::string name(Name(static_cast<LockRank>(rank)));
    AddCounter(taken, {{"lock", name}, {"mode", "shared"}}, static_cast<double>(lock.shared));
    AddCounter(taken, {{"lock", name}, {"mode", "exclusive"}}, static_cast<double>(lock.exclusive));
    if (lock.wait.count != 0) AddHistogram(waits, {{"lock", name}}, lock.wait);
  }
  return {std::move(taken), std::move(waits)};
}

class MachineMetrics : public prometheus::Collectable {
 public:
  explicit MachineMetrics(const Registry& registry) : registry_(registry) {}

  [[nodiscard]] std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> families = LockFamilies();
    families.push_back(GaugeFamily("faultline_machines", "Machines",
                                   static_cast<double>(registry_.machine_count())));
    families.push_back(GaugeFamily("faultline_threads", "Attached threads",
                                   static_cast<double>(registry_.thread_count())));
    families.push_back(GaugeFamily("faultline_memory_bytes", "Simulated memory of all machines",
                                   static_cast<double>(registry_.memory_bytes())));
    OfMachines of_machines;
    for (const auto& machine : registry_.MachinesFrom("", registry_.limits().max_machines)) {
      AddMachine(*machine, of_machines);
    }
    for (MetricFamily* family : {&of_machines.mms, &of_machines.frames, &of_machines.vmstat,
                                 &of_machines.faults, &of_machines.left}) {
      families.push_back(std::move(*family));
    }
    return families;
  }

 private:
  const Registry& registry_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeMachineMetrics(const Registry& registry) {
  return std::make_shared<MachineMetrics>(registry);
}

}  // namespace faultline::server
