// SPDX-License-Identifier: Apache-2.0
//
// The loop over episodes. Long ones reach states that short ones do not; short ones spread over
// more mixtures and shrink faster.
#include "tests/oracle/session.h"

#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>

#include "tests/oracle/crash.h"
#include "tests/oracle/generator.h"
#include "tests/oracle/placement.h"

namespace faultline::oracle {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMinEpisode = 200;
constexpr uint64_t kMaxEpisode = 4000;

/// Where an episode's operations come from; one interface over both modes.
using NextOperation = std::function<Operation(const Duel&)>;

NextOperation MakeGenerator(Mode mode, uint64_t seed, const Features& features) {
  if (mode == Mode::kPlacement) {
    auto generator = std::make_shared<PlacementGenerator>(seed);
    return [generator](const Duel& duel) { return generator->Next(duel); };
  }
  auto generator = std::make_shared<Generator>(seed, features);
  return [generator](const Duel& duel) { return generator->Next(duel); };
}

class Session {
 public:
  Session(const SessionOptions& options, const Features& features)
      : options_(options), features_(features), random_(options.seed), start_(Clock::now()) {}

  SessionResult Run() {
    while (!Done() && !result_.failure) RunEpisode();
    result_.seconds = Seconds();
    if (result_.failure && options_.shrink_budget.count() > 0) {
      const Replayer replay = [this](std::span<const Operation> ops) {
        return Replay(options_, ops);
      };
      result_.failure = Shrink(std::move(*result_.failure), replay, options_.shrink_budget);
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] double Seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

  [[nodiscard]] bool Done() const {
    if (result_.compared >= options_.ops) return true;
    return options_.time_limit.count() > 0 && Clock::now() - start_ >= options_.time_limit;
  }

  void RunEpisode() {
    const uint64_t length = kMinEpisode + random_() % (kMaxEpisode - kMinEpisode);
    const NextOperation next = MakeGenerator(options_.mode, random_(), features_);
    CrashTrail trail;
    Record record;
    Duel duel(options_.kernel, options_.other);
    SetBreakLabel(options_.mode, duel);
    if (std::optional<std::string> difference = duel.CompareStart()) {
      record.difference = std::move(*difference);
      result_.failure = std::move(record);
      return;
    }
    for (uint64_t i = 0; i < length && !Done(); ++i) {
      const Operation op = next(duel);
      trail.Add(op);
      StepResult step = duel.Step(op);
      if (!step.compared) {
        ++result_.left_out;
        continue;
      }
      ++result_.compared;
      record.ops.push_back(op);
      record.outcomes.push_back(step.outcome);
      ReportProgress();
      if (step.difference) {
        record.difference = std::move(*step.difference);
        result_.failure = std::move(record);
        return;
      }
      if (step.known != nullptr) {
        ++result_.known[step.known];
        return;
      }
    }
  }

  void ReportProgress() {
    constexpr uint64_t kEvery = 8192;
    if (options_.progress && result_.compared % kEvery == 0) {
      options_.progress(result_.compared, Seconds());
    }
  }

  const SessionOptions& options_;
  Features features_;
  std::mt19937_64 random_;
  Clock::time_point start_;
  SessionResult result_;
};

std::string DescribeOutcome(const Operation& op, const Outcome& outcome) {
  if (outcome.signal != 0) {
    return absl::StrFormat("SIG%s, si_code %d", sigabbrev_np(outcome.signal), outcome.si_code);
  }
  if (outcome.error != 0) return absl::StrCat("-1 ", strerrorname_np(outcome.error));
  if (outcome.died) return "?";
  return absl::StrFormat("0x%x", op.kind == OpKind::kRead ? outcome.word : outcome.value);
}

}  // namespace

SessionResult RunSession(const SessionOptions& options, const Features& features) {
  return Session(options, features).Run();
}

Record Replay(const SessionOptions& options, std::span<const Operation> ops) {
  CrashTrail trail;
  Record record;
  Duel duel(options.kernel, options.other);
  SetBreakLabel(options.mode, duel);
  if (std::optional<std::string> difference = duel.CompareStart()) {
    record.difference = std::move(*difference);
    return record;
  }
  for (const Operation& op : ops) {
    trail.Add(op);
    StepResult step = duel.Step(op);
    if (!step.compared) continue;
    record.ops.push_back(op);
    record.outcomes.push_back(step.outcome);
    if (step.known != nullptr) break;
    if (!step.difference) continue;
    record.difference = std::move(*step.difference);
    break;
  }
  for (int process = 0; process < kMaxProcesses; ++process) {
    if (!duel.live(process)) continue;
    absl::StrAppend(&record.memory, "p", process, ":\n", Describe(duel.snapshot(process)));
  }
  return record;
}

std::string Describe(const Record& record) {
  std::string text;
  for (size_t i = 0; i < record.ops.size(); ++i) {
    absl::StrAppend(&text, Format(record.ops[i]), " = ",
                    DescribeOutcome(record.ops[i], record.outcomes[i]), "\n");
  }
  const std::string comment = absl::StrCat(record.difference, record.memory);
  for (const absl::string_view line : absl::StrSplit(comment, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&text, "# ", line, "\n");
  }
  return text;
}

}  // namespace faultline::oracle
