// SPDX-License-Identifier: Apache-2.0
//
// The server, machines, tunables and fault injection; see machine_service.h.
#include "server/machine_service.h"

#include <faultline_build_id.h>

#include <string>
#include <utility>
#include <vector>

#include <absl/time/clock.h>

#include "core/sync/fail_points.h"
#include "core/sync/sync_clock.h"
#include "server/machine_message.h"
#include "server/names.h"
#include "server/options.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

constexpr size_t kMachinesByDefault = 100;

/// The sites that a request names as FailPoints takes them.
OrRefusal<uint32_t> SitesOf(const v1::SetFailPointRequest& request) {
  if (request.sites().empty()) return FailPoints::kAllSites;
  uint32_t sites = 0;
  for (int i = 0; i < request.sites_size(); ++i) {
    OrRefusal<FailSite> site = ToCore(request.sites(i), "sites[" + std::to_string(i) + "]");
    if (!site.ok()) return std::move(site.refusal());
    sites |= 1u << static_cast<uint32_t>(*site);
  }
  return sites;
}

}  // namespace

MachineService::MachineService(Calls& calls) : calls_(calls), start_time_(absl::Now()) {}

// --- The server ----------------------------------------------------------------------------------

MachineService::Reactor* MachineService::GetServerInfo(Context* context,
                                                       const v1::GetServerInfoRequest* request,
                                                       v1::GetServerInfoResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    response->set_build_id(std::string(kBuildId));
    ToProto(start_time_, *response->mutable_start_time());
    response->set_clock_ns(SyncClockNs());
    ToProto(calls_.registry().limits(), *response->mutable_limits());
    return {};
  });
}

MachineService::Reactor* MachineService::ListSchemes(Context* context,
                                                     const v1::ListSchemesRequest* request,
                                                     v1::ListSchemesResponse* response) {
  return calls_.Inline(context, request, response, [=]() -> MaybeRefusal {
    for (const SchemeName scheme : AllSchemes()) ToProto(scheme, *response->add_schemes());
    return {};
  });
}

// --- Machines ------------------------------------------------------------------------------------

MachineService::Reactor* MachineService::CreateMachine(Context* context,
                                                       const v1::CreateMachineRequest* request,
                                                       v1::CreateMachineResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    Registry& registry = calls_.registry();
    if (!request->machine_id().empty() && !IsId(request->machine_id())) {
      return InvalidName("machine_id", request->machine_id(), kIdForm);
    }
    OrRefusal<MachineOptions> options = ToCore(request->machine(), registry.limits(), "machine");
    if (!options.ok()) return std::move(options.refusal());
    auto machine =
        registry.CreateMachine(request->machine_id(), *options, request->machine().description());
    if (!machine.ok()) return std::move(machine.refusal());
    ToProto(**machine, *response->mutable_machine());
    return {};
  });
}

MachineService::Reactor* MachineService::GetMachine(Context* context,
                                                    const v1::GetMachineRequest* request,
                                                    v1::GetMachineResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->name(), "name");
    if (!machine.ok()) return std::move(machine.refusal());
    ToProto(**machine, *response->mutable_machine());
    return {};
  });
}

MachineService::Reactor* MachineService::ListMachines(Context* context,
                                                      const v1::ListMachinesRequest* request,
                                                      v1::ListMachinesResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    constexpr const char* kList = "ListMachines";
    const Registry& registry = calls_.registry();
    OrRefusal<std::string> from = PagePosition(registry.epoch(), kList, request->page_token());
    if (!from.ok()) return std::move(from.refusal());
    const size_t size = PageSize(request->page_size(), kMachinesByDefault, registry.limits());
    const auto machines = registry.MachinesFrom(*from, size + 1);
    for (size_t i = 0; i < machines.size() && i < size; ++i) {
      ToProto(*machines[i], *response->add_machines());
    }
    if (machines.size() > size) {
      response->set_next_page_token(PageToken(registry.epoch(), kList, machines[size]->id()));
    }
    return {};
  });
}

MachineService::Reactor* MachineService::DeleteMachine(Context* context,
                                                       const v1::DeleteMachineRequest* request,
                                                       v1::DeleteMachineResponse* response) {
  return calls_.Later(context, request, response, [=, this](Calls::Finish finish) {
    const auto force = request->force() ? Registry::Force::kYes : Registry::Force::kNo;
    return calls_.registry().DeleteMachine(request->name(), "name", force,
                                           [finish = std::move(finish)] { finish({}); });
  });
}

// --- Tunables and fault injection ----------------------------------------------------------------

MachineService::Reactor* MachineService::UpdateTunables(Context* context,
                                                        const v1::UpdateTunablesRequest* request,
                                                        v1::UpdateTunablesResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->machine(), "machine");
    if (!machine.ok()) return std::move(machine.refusal());
    return Update((*machine)->machine(), request->tunables(), *response->mutable_tunables());
  });
}

/// All of the changes, or none.
MaybeRefusal MachineService::Update(Machine& machine, const v1::Tunables& changes,
                                    v1::Tunables& now) {
  const absl::MutexLock lock(&mutex_);
  FrameAllocator& frames = machine.frames();
  OrRefusal<WatermarkOptions> changed =
      Changed(frames.watermark_options(), changes, frames.total_frames(), "tunables");
  if (!changed.ok()) return std::move(changed.refusal());
  MM_CHECK(machine.SetWatermarks(*changed).ok());  // Changed has asked
  ToProto(*changed, now);
  return {};
}

MachineService::Reactor* MachineService::SetFailPoint(Context* context,
                                                      const v1::SetFailPointRequest* request,
                                                      v1::SetFailPointResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->machine(), "machine");
    if (!machine.ok()) return std::move(machine.refusal());
    OrRefusal<uint32_t> sites = SitesOf(*request);
    if (!sites.ok()) return std::move(sites.refusal());
    const auto mode = request->for_ever() ? FailPoints::Mode::kForEver : FailPoints::Mode::kOnce;
    const absl::MutexLock lock(&mutex_);
    response->set_failed((*machine)->machine().fail_points().Arm(request->nth(), mode,
                                                                 request->nth() == 0 ? 0 : *sites));
    return {};
  });
}

}  // namespace faultline::server
