// SPDX-License-Identifier: Apache-2.0
//
// Statistics, once, again and again, and from zero; see observe_service.h.
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/sync/sync_clock.h"
#include "server/fault_statistics.h"
#include "server/names.h"
#include "server/observe_service.h"
#include "server/statistics_message.h"

namespace faultline::server {
namespace {

constexpr std::string_view kMms = "/mms/";
constexpr std::string_view kAllMms = "/mms/-";

/// Of one mm and its machine.
MaybeRefusal AddMm(const Registry& registry, std::string_view name, v1::Statistics& out) {
  OrRefusal<MmUse> mm = registry.UseMm(name, "name");
  if (!mm.ok()) return std::move(mm.refusal());
  ToProto((*mm)->machine(), *out.mutable_machine());
  ToProto(*mm, *out.add_mms());
  return {};
}

MaybeRefusal AddAllMms(MachineEntry& machine, const std::string& name, const Limits& limits,
                       v1::Statistics& out) {
  const auto mms = machine.MmsFrom(0, limits.max_page_size + 1);
  if (mms.size() > limits.max_page_size) {
    return OutOfRange("name", name,
                      "a machine with at most " + std::to_string(limits.max_page_size) +
                          " mms (Limits.max_page_size)");
  }
  for (const auto& entry : mms) {
    if (const MmUse use = entry->TryUse()) ToProto(use, *out.add_mms());
  }
  return {};
}

/// What the name is of: a machine, with `/mms/-` and its mms, or one of these.
MaybeRefusal StatisticsOf(const Registry& registry, const std::string& name, v1::Statistics& out) {
  out.set_clock_ns(SyncClockNs());
  std::string_view machine_name = name;
  const bool all = machine_name.ends_with(kAllMms);
  if (all) machine_name.remove_suffix(kAllMms.size());
  if (machine_name.find(kMms) != std::string_view::npos) return AddMm(registry, name, out);
  auto machine = registry.FindMachine(machine_name, "name");
  if (!machine.ok()) return std::move(machine.refusal());
  ToProto(**machine, *out.mutable_machine());
  return all ? AddAllMms(**machine, name, registry.limits(), out) : MaybeRefusal();
}

constexpr uint64_t kDefaultIntervalNs = 1'000'000'000;
constexpr uint64_t kLeastIntervalNs = 10'000'000;
constexpr uint64_t kMostIntervalNs = 3'600'000'000'000;

MaybeRefusal CheckInterval(uint64_t interval_ns) {
  if (interval_ns == 0) return {};
  if (interval_ns >= kLeastIntervalNs && interval_ns <= kMostIntervalNs) return {};
  return OutOfRange("interval_ns", interval_ns, "0, or 10 ms to 1 h in nanoseconds");
}

}  // namespace

ObserveService::Reactor* ObserveService::GetStatistics(Context* context,
                                                       const v1::GetStatisticsRequest* request,
                                                       v1::GetStatisticsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this] {
    return StatisticsOf(registry(), request->name(), *response->mutable_statistics());
  });
}

grpc::ServerWriteReactor<v1::WatchStatisticsResponse>* ObserveService::WatchStatistics(
    Context* context, const v1::WatchStatisticsRequest* request) {
  using Response = v1::WatchStatisticsResponse;
  MaybeRefusal refusal = calls_.Admit(*context, *request);
  if (!refusal) refusal = CheckInterval(request->interval_ns());
  const uint64_t interval =
      request->interval_ns() == 0 ? kDefaultIntervalNs : request->interval_ns();
  const auto make = [this, name = request->name(), is_first = true]() mutable {
    WatchLot<Response> lot;
    Response message;
    lot.refusal = StatisticsOf(registry(), name, *message.mutable_statistics());
    lot.last = lot.refusal.has_value();
    // What was there and is on its way out is gone.
    if (lot.last && !is_first && lot.refusal->reason == v1::ERROR_REASON_MM_EXITED) {
      lot.refusal = NotFound("name", name, "an mm");
    }
    is_first = false;
    if (!lot.last) lot.messages.push_back(std::move(message));
    return lot;
  };
  return new Watch<Response>(calls_, streams_, absl::Nanoseconds(interval), make,
                             std::move(refusal));
}

ObserveService::Reactor* ObserveService::ResetStatistics(Context* context,
                                                         const v1::ResetStatisticsRequest* request,
                                                         v1::ResetStatisticsResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const std::string& name = request->name();
    if (name.find(kMms) == std::string::npos) {
      auto machine = registry().FindMachine(name, "name");
      if (!machine.ok()) return std::move(machine.refusal());
      MaybeRefusal refusal = StatisticsOf(registry(), name, *response->mutable_before());
      if (refusal) return refusal;
      v1::MachineStatistics& before = *response->mutable_before()->mutable_machine();
      ToProto((*machine)->machine().ResetFaultStatistics(), *before.mutable_faults());
      return {};
    }
    OrRefusal<MmUse> mm = registry().UseMm(name, "name");
    if (!mm.ok()) return std::move(mm.refusal());
    MaybeRefusal refusal = StatisticsOf(registry(), name, *response->mutable_before());
    if (refusal) return refusal;
    // What was taken off the counts, to the fault: others may have ended since.
    v1::MmStatistics& before = *response->mutable_before()->mutable_mms(0);
    ToProto(mm->mm().fault_stats().Reset(), *before.mutable_faults());
    return {};
  });
}

}  // namespace faultline::server
