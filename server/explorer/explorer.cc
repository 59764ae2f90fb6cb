// SPDX-License-Identifier: Apache-2.0
//
// The modelled core's side of explorer.h. The only source of the server that is compiled with it:
// of the server it includes nothing else that knows a type of core, so that none has two meanings.
//
// Progress and giving up are both asked for between schedules; the body of a scenario is wrapped to
// count them.
#include "server/explorer/explorer.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <absl/time/time.h>

#include "core/base/mutant.h"
#include "core/explore/scenario.h"
#include "core/fault/fault_options.h"
#include "core/sync/modelled/replay.h"
#include "core/sync/modelled/search.h"
#include "server/api_enums.h"

namespace faultline::server::explorer {
namespace {

/// Whose turn it is.
class Turn {
 public:
  /// Waits for it; empty if `give_up` says so meanwhile.
  [[nodiscard]] static std::optional<Turn> Await(const std::function<bool()>& give_up) {
    constexpr absl::Duration kAskEvery = absl::Milliseconds(20);
    const absl::MutexLock lock(&mutex);
    while (taken) {
      if (give_up && give_up()) return {};
      (void)given_back.WaitWithTimeout(&mutex, kAskEvery);
    }
    taken = true;
    return Turn();
  }
  ~Turn() {
    if (!mine_) return;
    const absl::MutexLock lock(&mutex);
    taken = false;
    given_back.Signal();
  }
  Turn(Turn&& other) noexcept : mine_(std::exchange(other.mine_, false)) {}
  Turn& operator=(Turn&&) = delete;

 private:
  Turn() = default;

  static inline absl::Mutex mutex{absl::kConstInit};
  static inline absl::CondVar given_back;
  static inline bool taken ABSL_GUARDED_BY(mutex) = false;
  bool mine_ = true;
};

void ToProto(const Violation& violation, v1::Violation& out) {
  out.set_kind(ToApi<v1::ViolationKind>(violation.kind));
  out.set_message(violation.message);
  if (violation.fiber >= 0) out.set_task(static_cast<uint32_t>(violation.fiber));
}

void ToProto(const Finding& finding, v1::Finding& out) {
  ToProto(finding.violation, *out.mutable_violation());
  out.set_table(finding.table);
  out.set_replay(finding.replay);
  out.set_schedule(finding.schedule);
  out.set_preemptions(finding.preemptions);
}

v1::Scenario ToProto(const Scenario& scenario) {
  v1::Scenario out;
  out.set_name(scenario.name);
  out.set_description(scenario.description);
  out.set_takes_fault_options(scenario.takes_fault_options());
  for (const Expectation& expectation : scenario.finds) {
    const std::string name(Name(expectation.mutant));
    const auto& known = out.finds_mutants();
    // It may stand in several rows, for different configurations.
    if (std::find(known.begin(), known.end(), name) == known.end()) out.add_finds_mutants(name);
  }
  return out;
}

/// The configuration of a search, which was checked by the native core's rules; they are the same.
FaultOptions OptionsOf(const Search& search) {
  const auto scheme = SchemeFromName(search.scheme);
  if (!scheme.has_value()) return {};
  FaultOptions options = DefaultsOf(*scheme);
  (void)ParsePolicies(search.policies, options);
  return options;
}

SearchOptions SearchOptionsOf(const Search& search) {
  return {.strategy = FromApi<Strategy>(search.strategy).value_or(Strategy::kDepthFirst),
          .pruning = FromApi<Pruning>(search.pruning).value_or(Pruning::kBpor),
          .bound = search.bound,
          .pct_depth = search.pct_depth,
          .seed = search.seed,
          .max_schedules = search.max_schedules};
}

std::optional<ReplayAnswer> Trouble(ReplayTrouble trouble, std::string what) {
  return ReplayAnswer{.trouble = trouble, .what = std::move(what), .response = {}};
}

/// Why that replay cannot be made; else what to run is put into `subject`.
std::optional<ReplayAnswer> Prepare(const faultline::Replay& replay, SearchSubject& subject) {
  const RunIdentity& identity = replay.identity;
  const Scenario* const scenario = faultline::FindScenario(identity.scenario);
  if (scenario == nullptr) return Trouble(ReplayTrouble::kUnknownScenario, identity.scenario);
  const auto mutant = MutantFromName(identity.mutant);
  if (!mutant.has_value()) return Trouble(ReplayTrouble::kUnknownMutant, identity.mutant);
  const auto options = RecordedOptions(*scenario, identity);
  if (const auto* why = std::get_if<std::string>(&options)) {
    return Trouble(ReplayTrouble::kUnreadable, *why);
  }
  subject = SubjectOf(*scenario, *mutant, std::get<FaultOptions>(options));
  return {};
}

}  // namespace

const std::vector<v1::Scenario>& Scenarios() {
  static const auto* const scenarios = [] {
    auto* all = new std::vector<v1::Scenario>;
    for (const Scenario& scenario : AllScenarios()) all->push_back(ToProto(scenario));
    return all;
  }();
  return *scenarios;
}

const std::vector<v1::Mutant>& Mutants() {
  static const auto* const mutants = [] {
    auto* all = new std::vector<v1::Mutant>;
    for (const Mutant mutant : AllMutants()) {
      v1::Mutant& out = all->emplace_back();
      out.set_name(std::string(Name(mutant)));
      out.set_description(std::string(Description(mutant)));
    }
    return all;
  }();
  return *mutants;
}

const v1::Scenario* FindScenario(const std::string& name) {
  for (const v1::Scenario& scenario : Scenarios()) {
    if (scenario.name() == name) return &scenario;
  }
  return nullptr;
}

bool IsMutant(const std::string& name) {
  const auto mutant = MutantFromName(name);
  return mutant.has_value() && *mutant != Mutant::kNone;
}

std::optional<v1::ExploreResult> Explore(const Search& search) {
  const auto turn = Turn::Await(search.give_up);
  if (!turn.has_value()) return {};
  const Mutant mutant =
      search.mutant.empty() ? Mutant::kNone : MutantFromName(search.mutant).value_or(Mutant::kNone);
  SearchSubject subject =
      SubjectOf(*faultline::FindScenario(search.scenario), mutant, OptionsOf(search));
  uint64_t schedules = 0;
  subject.body = [&schedules, body = std::move(subject.body)](Execution& run) {
    ++schedules;
    body(run);
  };
  SearchOptions options = SearchOptionsOf(search);
  options.give_up = [&] {
    if (search.progress) search.progress(schedules);
    return search.give_up && search.give_up();
  };

  const absl::Time began = absl::Now();
  const SearchResult result = faultline::Explore(subject, options);
  v1::ExploreResult out;
  if (result.finding.has_value()) ToProto(*result.finding, *out.mutable_finding());
  out.set_schedules(result.schedules);
  out.set_steps(result.steps);
  out.set_longest(result.longest);
  out.set_complete(result.complete);
  out.set_summary(result.Summary(options));
  out.set_elapsed_ns(static_cast<uint64_t>(absl::ToInt64Nanoseconds(absl::Now() - began)));
  return out;
}

ReplayAnswer Replay(const std::string& replay, uint32_t times,
                    const std::function<bool()>& give_up) {
  const auto decoded = DecodeReplay(replay);
  if (const auto* why = std::get_if<std::string>(&decoded)) {
    return *Trouble(ReplayTrouble::kUnreadable, *why);
  }
  const auto& recorded = std::get<faultline::Replay>(decoded);
  SearchSubject subject;
  if (auto trouble = Prepare(recorded, subject)) return *std::move(trouble);
  const auto turn = Turn::Await(give_up);
  ReplayAnswer answer;
  if (!turn.has_value()) return answer;

  // One by one, so that it can be given up; all have to end as the first did.
  std::optional<ReplayResult> first;
  for (uint32_t done = 0; done < times && !(give_up && give_up()); ++done) {
    ReplayResult result = ReplayRun(subject, recorded.choices, 1);
    if (!first.has_value()) {
      first = std::move(result);
    } else if (result.table != first->table && first->divergence.empty()) {
      first->divergence = "repetition " + std::to_string(done + 1) + " of " +
                          std::to_string(times) + " did not end like the first";
    }
    if (!first->divergence.empty()) break;
  }
  if (!first.has_value()) return answer;
  answer.response.set_divergence(first->divergence);
  if (first->violation.has_value()) {
    ToProto(*first->violation, *answer.response.mutable_violation());
  }
  answer.response.set_table(first->table);
  return answer;
}

}  // namespace faultline::server::explorer
