// SPDX-License-Identifier: Apache-2.0
//
// Implementation of search.h.
#include "core/sync/modelled/search.h"

#include <algorithm>

#include <absl/strings/str_format.h>

#include "core/base/check.h"
#include "core/sync/lockdep.h"
#include "core/sync/modelled/pct.h"
#include "core/sync/modelled/report.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Turns a mutant on for a scope.
class MutantScope {
 public:
  explicit MutantScope(Mutant mutant) { SetMutant(mutant); }
  ~MutantScope() { SetMutant(Mutant::kNone); }
  MutantScope(const MutantScope&) = delete;
  MutantScope& operator=(const MutantScope&) = delete;
};

/// Preemptions of the last run: switches away from a fiber that could have gone on.
class PreemptionCounter : public Driver {
 public:
  explicit PreemptionCounter(Driver& inner) : inner_(inner) {}

  [[nodiscard]] int Choose(const Execution& execution, FiberMask eligible, int current) override {
    if (execution.step_count() == 0) count_ = 0;
    const int next = inner_.Choose(execution, eligible, current);
    const bool could_stay = current != kNoFiber && (eligible & MaskOf(current)) != 0 &&
                            execution.pending(current).kind != OpKind::kYield;
    if (could_stay && next != current) ++count_;
    return next;
  }
  void StepDone(const Execution& execution, const Step& step) override {
    inner_.StepDone(execution, step);
  }
  [[nodiscard]] uint32_t count() const { return count_; }

 private:
  Driver& inner_;
  uint32_t count_ = 0;
};

RunIdentity IdentityOf(const SearchSubject& subject) {
  RunIdentity identity = subject.identity;
  identity.mutant = Name(subject.mutant);
  return identity;
}

/// Runs schedules until `advance` says that there is no other.
SearchResult RunAll(const SearchSubject& subject, const SearchOptions& options, Driver& driver,
                    const std::function<bool()>& advance) {
  constexpr uint64_t kProgressEvery = 4096;
  constexpr uint64_t kGiveUpEvery = 8;
  SearchResult result;
  Execution execution(subject.execution);
  PreemptionCounter counter(driver);
  ResetLockdepHistory();
  while (result.schedules < options.max_schedules) {
    const RunStatus status = execution.Run(subject.body, counter);
    MM_CHECK(status != RunStatus::kStopped);
    ++result.schedules;
    result.steps += execution.step_count();
    result.longest = std::max(result.longest, execution.step_count());
    if (status == RunStatus::kViolation) {
      result.finding = Finding{.violation = *execution.violation(),
                               .table = FormatRun(execution),
                               .replay = EncodeReplay({IdentityOf(subject), ChoicesOf(execution)}),
                               .schedule = result.schedules,
                               .preemptions = counter.count()};
      return result;
    }
    if (options.collect_digests) result.digests.insert(execution.digest());
    if (options.progress && result.schedules % kProgressEvery == 0) {
      options.progress(result.schedules);
    }
    if (!advance()) {
      result.complete = true;
      return result;
    }
    if (options.give_up && result.schedules % kGiveUpEvery == 0 && options.give_up()) break;
  }
  return result;
}

}  // namespace

SearchResult Explore(const SearchSubject& subject, const SearchOptions& options) {
  const MutantScope mutant(subject.mutant);
  if (options.strategy == Strategy::kPct) {
    PctDriver driver(options.seed, options.pct_depth);
    return RunAll(subject, options, driver, [&] {
      driver.Advance();
      return true;
    });
  }
  DepthFirstDriver driver(options.bound, options.pruning);
  return RunAll(subject, options, driver, [&] { return driver.Advance(); });
}

std::string SearchResult::Summary(const SearchOptions& options) const {
  const std::string found =
      finding.has_value()
          ? absl::StrFormat("%s in schedule %d (%d preemptions)", Name(finding->violation.kind),
                            finding->schedule, finding->preemptions)
          : absl::StrFormat("no violation in %d schedules", schedules);
  if (options.strategy == Strategy::kPct) {
    return absl::StrFormat("%s, sequentially consistent, random with seed %d and depth %d", found,
                           options.seed, options.pct_depth);
  }
  return absl::StrFormat("%s, sequentially consistent, preemption bound %d%s", found, options.bound,
                         finding.has_value() ? ""
                         : complete          ? ", complete"
                                             : ", capped");
}

ReplayResult ReplayRun(const SearchSubject& subject, const std::vector<ReplayChoice>& choices,
                       int times) {
  const MutantScope mutant(subject.mutant);
  Execution execution(subject.execution);
  ReplayResult result;
  ResetLockdepHistory();
  for (int i = 0; i < times; ++i) {
    ReplayDriver driver(choices);
    execution.Run(subject.body, driver);
    const std::string table = FormatRun(execution);
    result.divergence = driver.Divergence(execution);
    result.violation = execution.violation();
    if (result.divergence.empty() && i > 0 && table != result.table) {
      result.divergence = absl::StrFormat(
          "diverged in repetition %d: expected the same run, found "
          "another",
          i + 1);
    }
    result.table = table;
    if (!result.divergence.empty()) break;
  }
  return result;
}

}  // namespace faultline
