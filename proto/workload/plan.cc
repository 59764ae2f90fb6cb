// SPDX-License-Identifier: Apache-2.0
//
// Makes a Plan: files, actors with their places in the shared mm, steps, and the layout of regions.
//
// Layout: first the regions that an mm's threads share, in their order, then for each thread of the
// mm its own ones. A thread with an mm of its own is the first thread there.
#include "proto/workload/plan.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "proto/workload/plan_steps.h"

namespace faultline::workload {
namespace {

bool IsPerThread(const v1::Region& region) { return region.sharing() == v1::REGION_SHARING_THREAD; }

std::vector<PlannedRegion> RegionsOf(const v1::Workload& workload) {
  std::vector<PlannedRegion> regions;
  for (const v1::Region& region : workload.regions()) {
    regions.push_back({.length = region.length(), .per_thread = IsPerThread(region)});
  }
  return regions;
}

/// Gives addresses to the regions of one kind from `at` on; returns where they end.
uint64_t Place(std::vector<PlannedRegion>& regions, v1::RegionSharing sharing, uint64_t at) {
  for (PlannedRegion& region : regions) {
    if (region.per_thread != (sharing == v1::REGION_SHARING_THREAD)) continue;
    region.address = at;
    at += SpaceOf(region.length);
  }
  return at;
}

}  // namespace

Plan::Plan(const v1::Workload& workload, uint32_t threads) : regions_(RegionsOf(workload)) {
  for (const v1::WorkloadFile& file : workload.files()) {
    files_.push_back({.size = file.size(), .per_thread = file.per_thread()});
  }
  const uint64_t own = Place(regions_, v1::REGION_SHARING_MM, kRegionSpaceStart);
  per_thread_bytes_ = Place(regions_, v1::REGION_SHARING_THREAD, own) - own;

  StepPlanner planner(workload, steps_, targets_);
  for (const v1::Region& region : workload.regions()) {
    if (!IsPerThread(region)) planner.AddRegion(region);
  }
  map_for_mm_.end = static_cast<uint32_t>(steps_.size());
  for (const v1::Region& region : workload.regions()) {
    if (IsPerThread(region)) planner.AddRegion(region);
  }
  map_for_thread_ = {.begin = map_for_mm_.end, .end = static_cast<uint32_t>(steps_.size())};

  uint32_t in_shared_mm = 0;
  for (const v1::Actor& actor : workload.actors()) {
    PlannedActor& planned = actors_.emplace_back();
    planned.name = actor.name();
    planned.threads = actor.threads() == 0 ? threads : actor.threads();
    planned.own_mm = actor.own_mm();
    planned.rounds = actor.rounds();
    if (actor.has_pace()) planned.pace = actor.pace();
    planned.setup = planner.AddSteps(actor.setup(), planned.cursors);
    planned.loop = planner.AddSteps(actor.loop(), planned.cursors);
    threads_ += planned.threads;
    if (planned.own_mm) continue;
    planned.first_in_mm = in_shared_mm;
    in_shared_mm += planned.threads;
  }
}

bool Plan::has_shared_mm() const {
  return std::any_of(actors_.begin(), actors_.end(),
                     [](const PlannedActor& actor) { return !actor.own_mm; });
}

std::vector<uint64_t> Plan::RegionAddresses(uint32_t actor, uint32_t thread) const {
  const PlannedActor& planned = actors_[actor];
  const uint64_t place = planned.own_mm ? 0 : planned.first_in_mm + thread;
  std::vector<uint64_t> addresses;
  addresses.reserve(regions_.size());
  for (const PlannedRegion& region : regions_) {
    addresses.push_back(region.address + (region.per_thread ? place * per_thread_bytes_ : 0));
  }
  return addresses;
}

}  // namespace faultline::workload
