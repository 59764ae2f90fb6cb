// SPDX-License-Identifier: Apache-2.0
//
// Scenarios, searches over their interleavings and replays; see lab_service.h.
//
// The options of a search are checked with the native core, whose rules are those of the modelled
// one, and go there by name.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "core/fault/fault_options.h"
#include "core/sync/sync_clock.h"
#include "core/sync/task.h"
#include "server/explorer/explorer.h"
#include "server/lab_request.h"
#include "server/lab_service.h"
#include "server/lab_stream.h"
#include "server/options.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

using ExploreStream = LabStream<v1::ExploreResponse>;

constexpr size_t kScenariosPerPage = 100;
constexpr const char* kScenarioList = "ListScenarios";
constexpr uint32_t kMaxBound = 100;
constexpr uint32_t kMaxPctDepth = 100;
constexpr uint64_t kMaxSchedules = 1'000'000'000;
constexpr size_t kMaxReplayBytes = size_t{1} << 20;
constexpr uint32_t kMaxReplayTimes = 1000;

MaybeRefusal CheckSearch(const v1::SearchOptions& options, explorer::Search& search) {
  if (!v1::SearchStrategy_IsValid(options.strategy())) {
    return UnknownEnumValue("search.strategy", options.strategy(), "a number of SearchStrategy");
  }
  if (!v1::SearchPruning_IsValid(options.pruning())) {
    return UnknownEnumValue("search.pruning", options.pruning(), "a number of SearchPruning");
  }
  if (options.bound() > kMaxBound) {
    return OutOfRange("search.bound", options.bound(), "0 to 100");
  }
  if (options.pct_depth() > kMaxPctDepth) {
    return OutOfRange("search.pct_depth", options.pct_depth(), "1 to 100, or 0 for 3");
  }
  if (options.max_schedules() > kMaxSchedules) {
    return OutOfRange("search.max_schedules", options.max_schedules(),
                      "1 to 10^9, or 0 for 1,000,000");
  }
  if (options.strategy() != v1::SEARCH_STRATEGY_UNSPECIFIED) search.strategy = options.strategy();
  if (options.pruning() != v1::SEARCH_PRUNING_UNSPECIFIED) search.pruning = options.pruning();
  if (options.has_bound()) search.bound = options.bound();
  if (options.pct_depth() != 0) search.pct_depth = options.pct_depth();
  if (options.has_seed()) search.seed = options.seed();
  if (options.max_schedules() != 0) search.max_schedules = options.max_schedules();
  return {};
}

MaybeRefusal CheckScenario(const v1::ExploreRequest& request, explorer::Search& search) {
  const v1::Scenario* const scenario = explorer::FindScenario(request.scenario());
  if (scenario == nullptr) {
    return NotFound("scenario", request.scenario(), "a scenario of ListScenarios");
  }
  search.scenario = request.scenario();
  if (scenario->takes_fault_options()) {
    OrRefusal<FaultOptions> options = ToCore(request.options(), "options");
    if (!options.ok()) return std::move(options.refusal());
    search.scheme = Name(options->scheme);
    search.policies = PoliciesOf(*options);
  } else if (request.has_options()) {
    return OutOfRange("options", request.options().ShortDebugString(),
                      "nothing, since the scenario takes no options");
  }
  if (!request.mutant().empty() && !explorer::IsMutant(request.mutant())) {
    return NotFound("mutant", request.mutant(), "a mutant of ListScenarios");
  }
  search.mutant = request.mutant();
  return {};
}

/// Sends progress no more often than that.
class Progress {
 public:
  Progress(ExploreStream& stream, uint64_t epoch, uint64_t interval_ns)
      : stream_(stream),
        epoch_(epoch),
        interval_ns_(interval_ns),
        began_ns_(SyncClockNs()),
        next_ns_(began_ns_ + interval_ns) {}

  void operator()(uint64_t schedules) {
    const uint64_t now = SyncClockNs();
    if (now < next_ns_) return;
    next_ns_ = now + interval_ns_;
    v1::ExploreResponse response;
    response.set_instance_epoch(epoch_);
    response.mutable_progress()->set_schedules(schedules);
    response.mutable_progress()->set_elapsed_ns(now - began_ns_);
    stream_.SendProgress(std::move(response));
  }

 private:
  ExploreStream& stream_;
  const uint64_t epoch_;
  const uint64_t interval_ns_;
  const uint64_t began_ns_;
  uint64_t next_ns_;
};

}  // namespace

LabService::Reactor* LabService::ListScenarios(Context* context,
                                               const v1::ListScenariosRequest* request,
                                               v1::ListScenariosResponse* response) {
  return calls_.Inline(context, request, response, [&]() -> MaybeRefusal {
    const Epoch& epoch = calls_.registry().epoch();
    OrRefusal<uint64_t> first = PageNumber(epoch, kScenarioList, request->page_token());
    if (!first.ok()) return std::move(first.refusal());
    const auto& scenarios = explorer::Scenarios();
    const size_t begin = std::min<size_t>(*first, scenarios.size());
    const size_t size =
        PageSize(request->page_size(), kScenariosPerPage, calls_.registry().limits());
    const size_t end = begin + std::min(size, scenarios.size() - begin);
    for (size_t i = begin; i < end; ++i) *response->add_scenarios() = scenarios[i];
    if (begin == 0) {
      for (const v1::Mutant& mutant : explorer::Mutants()) *response->add_mutants() = mutant;
    }
    if (end < scenarios.size()) {
      response->set_next_page_token(PageToken(epoch, kScenarioList, end));
    }
    return {};
  });
}

grpc::ServerWriteReactor<v1::ExploreResponse>* LabService::Explore(
    Context* context, const v1::ExploreRequest* request) {
  auto* stream = new ExploreStream(calls_, runs_);
  explorer::Search search;
  MaybeRefusal refusal = calls_.Admit(*context, *request);
  if (!refusal) refusal = CheckScenario(*request, search);
  if (!refusal) refusal = CheckSearch(request->search(), search);
  OrRefusal<uint64_t> interval = ProgressInterval(request->progress_interval_ns());
  if (!refusal && !interval.ok()) refusal = std::move(interval.refusal());
  const uint64_t interval_ns = refusal ? 0 : *interval;
  const uint64_t epoch = calls_.registry().epoch().value();

  stream->Start(std::move(refusal), [search, interval_ns, epoch](ExploreStream& self) mutable {
    search.give_up = [&self] { return self.stop().stopped(); };
    search.progress = Progress(self, epoch, interval_ns);
    if (auto result = explorer::Explore(search); result && !self.stop().stopped()) {
      v1::ExploreResponse response;
      response.set_instance_epoch(epoch);
      *response.mutable_result() = *std::move(result);
      self.Send(std::move(response));
    }
    return MaybeRefusal();
  });
  return stream;
}

LabService::Reactor* LabService::Replay(Context* context, const v1::ReplayRequest* request,
                                        v1::ReplayResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const std::string& replay = request->replay();
    if (replay.size() > kMaxReplayBytes) {
      return Refusal{.reason = v1::ERROR_REASON_INVALID_REPLAY,
                     .field = "replay",
                     .value = std::to_string(replay.size()) + " bytes",
                     .allowed = "at most 1 MiB"};
    }
    if (request->times() > kMaxReplayTimes) {
      return OutOfRange("times", request->times(), "1 to 1000, or 0 for 1");
    }
    const uint32_t times = request->times() == 0 ? 1 : request->times();
    explorer::ReplayAnswer answer =
        explorer::Replay(replay, times, [] { return CurrentTask().killed(); });
    switch (answer.trouble) {
      case explorer::ReplayTrouble::kNone:
        break;
      case explorer::ReplayTrouble::kUnreadable:
        return Refusal{.reason = v1::ERROR_REASON_INVALID_REPLAY,
                       .field = "replay",
                       .value = replay,
                       .allowed = answer.what};
      case explorer::ReplayTrouble::kUnknownScenario:
        return NotFound("replay", answer.what, "a scenario of this build");
      case explorer::ReplayTrouble::kUnknownMutant:
        return NotFound("replay", answer.what, "a mutant of this build");
    }
    *response = std::move(answer.response);
    response->set_instance_epoch(calls_.registry().epoch().value());
    return {};
  });
}

}  // namespace faultline::server
