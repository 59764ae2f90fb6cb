// SPDX-License-Identifier: Apache-2.0
//
// Single faults of attached threads; see observe_service.h. A thread's faults go to a ring of its
// own that anybody may read; a stream remembers how far it has read in each.
//
// The stream keeps no thread and no mm, only rings, so it holds up nobody's end. What a thread did
// last before it went is still said, and then the stream of a thread, or of an mm that is gone,
// ends well.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/observe/activity.h"
#include "server/fault_messages.h"
#include "server/names.h"
#include "server/observe_service.h"
#include "server/options.h"

namespace faultline::server {
namespace {

using Response = v1::WatchFaultEventsResponse;

constexpr uint64_t kDefaultIntervalNs = 100'000'000;
constexpr uint64_t kLeastIntervalNs = 1'000'000;
constexpr uint64_t kMostIntervalNs = 60'000'000'000;

MaybeRefusal CheckInterval(uint64_t interval_ns) {
  if (interval_ns == 0) return {};
  if (interval_ns >= kLeastIntervalNs && interval_ns <= kMostIntervalNs) return {};
  return OutOfRange("interval_ns", interval_ns, "0, or 1 ms to 1 min in nanoseconds");
}

void Append(const FaultEvent& event, Response& out) {
  out.add_begin_ns(event.begin);
  out.add_durations_ns(event.duration);
  out.add_addresses(event.address.value());
  out.add_accesses(ToProto(static_cast<AccessKind>(event.access)));
  out.add_outcomes(event.outcome);
  out.add_rungs(RungsOf(event).packed());
  out.add_waited_ns(event.waited() ? event.waited_ns : 0);
  out.add_waited_for(event.waited() ? ToProto(event.waited_for) : v1::LOCK_RANK_UNSPECIFIED);
  out.add_holders(event.waited() ? event.holder : 0);
  const bool holder_known = event.waited() && event.holder != 0;
  out.add_holder_activities(holder_known ? ToProto(ActivityOf(event.holder_activity))
                                         : v1::ACTIVITY_UNSPECIFIED);
}

/// What one stream has read so far.
class FaultWatcher {
 public:
  FaultWatcher(Registry& registry, const v1::WatchFaultEventsRequest& request)
      : registry_(registry), name_(request.name()), min_duration_ns_(request.min_duration_ns()) {
    if (const auto thread = ParseThreadName(name_)) {
      thread_ = std::string(thread->thread);
      mm_name_ = MmName(thread->mm.machine, thread->mm.number);
    } else {
      mm_name_ = name_;
    }
  }

  /// Looks for threads that are there, for the first time: why there is nothing to watch.
  MaybeRefusal Begin() {
    OrRefusal<MmUse> mm = registry_.UseMm(mm_name_, "name");
    if (!mm.ok()) return std::move(mm.refusal());
    // What they did before is not asked for.
    Look(mm->entry(), From::kNow);
    if (!thread_.empty() && !is_there_) return NotFound("name", name_, "an attached thread");
    return {};
  }

  WatchLot<Response> Make() {
    WatchLot<Response> lot;
    is_there_ = false;
    if (OrRefusal<MmUse> mm = registry_.UseMm(mm_name_, "name"); mm.ok()) {
      Look(mm->entry(), From::kStart);
      if (thread_.empty()) is_there_ = true;
    }
    // Rings of threads that have gone are read once more, and forgotten.
    for (auto at = readings_.begin(); at != readings_.end();) {
      Read(at->second, lot.messages);
      at = at->second.is_there ? std::next(at) : readings_.erase(at);
    }
    lot.last = !is_there_;
    return lot;
  }

 private:
  enum class From : uint8_t { kStart, kNow };
  struct Reading {
    std::string thread;  ///< its name
    uint32_t task = 0;
    std::shared_ptr<FaultEventRing> ring;
    uint64_t next = 0;  ///< the number of the fault that comes next
    bool is_there = true;
  };

  /// Notes the threads that are there now.
  void Look(const MmEntry& mm, From from) {
    for (auto& [ring, reading] : readings_) reading.is_there = false;
    for (MmThreadInfo& info : mm.Threads()) {
      if (!thread_.empty() && info.id != thread_) continue;
      is_there_ = true;
      if (info.events == nullptr) continue;
      const auto [at, is_new] = readings_.try_emplace(info.events.get());
      Reading& reading = at->second;
      reading.is_there = true;
      if (!is_new) continue;
      reading.thread = ThreadNameOf(mm.name(), info.id);
      reading.task = info.task;
      reading.next = from == From::kNow ? info.events->written() : 0;
      reading.ring = std::move(info.events);
    }
  }

  void Read(Reading& reading, std::vector<Response>& out) const {
    if (reading.ring->written() == reading.next) return;
    const FaultEventRing::Snapshot faults = reading.ring->Take(reading.next);
    reading.next = faults.next;
    uint64_t lost = faults.lost;
    std::span<const FaultEvent> rest(faults.records);
    // One message at least if some were lost, else one for so many faults as there are.
    const size_t most = registry_.limits().max_batch_operations;
    while (!rest.empty() || lost != 0) {
      Response message;
      message.set_thread(reading.thread);
      message.set_task(reading.task);
      message.set_lost(std::exchange(lost, 0));
      const size_t count = std::min(rest.size(), most);
      for (const FaultEvent& event : rest.first(count)) {
        if (event.duration >= min_duration_ns_) Append(event, message);
      }
      rest = rest.subspan(count);
      if (message.begin_ns_size() != 0 || message.lost() != 0) out.push_back(std::move(message));
    }
  }

  Registry& registry_;
  const std::string name_;
  const uint64_t min_duration_ns_;
  std::string mm_name_;
  std::string thread_;  ///< empty: all of the mm's
  bool is_there_ = false;
  std::map<const FaultEventRing*, Reading> readings_;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchFaultEventsResponse>* ObserveService::WatchFaultEvents(
    Context* context, const v1::WatchFaultEventsRequest* request) {
  MaybeRefusal refusal = calls_.Admit(*context, *request);
  if (!refusal) refusal = CheckInterval(request->interval_ns());
  const auto watcher = std::make_shared<FaultWatcher>(registry(), *request);
  if (!refusal) refusal = watcher->Begin();
  const uint64_t interval =
      request->interval_ns() == 0 ? kDefaultIntervalNs : request->interval_ns();
  return new Watch<Response>(
      calls_, streams_, absl::Nanoseconds(interval), [watcher] { return watcher->Make(); },
      std::move(refusal));
}

}  // namespace faultline::server
