// SPDX-License-Identifier: Apache-2.0
//
// Implementation of sync_pairs.h.
#include "tests/bench/sync_pairs.h"

#include <cstdio>
#include <memory>

#include <absl/strings/str_format.h>

#include "tests/bench/sync_subjects.h"

namespace faultline::bench {
namespace {

/// The subject that repeats `Op`, made from `args`, on a lock of its own.
template <template <class> class Op, class Lock, class... Args>
Subject SubjectOn(std::shared_ptr<Shared<Lock>> shared, const std::string& name, Args... args) {
  return {.name = name, .body = [shared, args...](int thread, const std::atomic<bool>& stop) {
            (void)CurrentTask();  // registers the thread, raw liburcu needs that too
            Op<Lock> op(*shared, thread, args...);
            return RepeatUntil(stop, op);
          }};
}

template <template <class> class Op, class Lock, class... Args>
Subject SubjectOf(Args... args) {
  return SubjectOn<Op>(std::make_shared<Shared<Lock>>(), Lock::kName, args...);
}

struct Comparison {
  const char* what;
  int threads;
  Subject subject;
  Subject peer;
};

std::vector<Comparison> KeyComparisons() {
  constexpr uint32_t kOnePercent = 10;
  constexpr int kNoWork = 0;
  std::vector<Comparison> all;
  for (const int threads : {1, 2}) {
    const auto add = [&](const char* what, Subject subject, Subject peer) {
      all.push_back({what, threads, std::move(subject), std::move(peer)});
    };
    add("RCU section", SubjectOf<ReadOp, OurRcu>(), SubjectOf<ReadOp, RawUrcu>());
    add("spin pair", SubjectOf<WriteOp, OurSpinLock>(), SubjectOf<WriteOp, PthreadSpinLock>());
    add("mutex pair", SubjectOf<WriteOp, OurMutex>(), SubjectOf<WriteOp, StdMutex>());
    add("mutex pair", SubjectOf<WriteOp, OurMutex>(), SubjectOf<WriteOp, AbslMutex>());
    add("read pair", SubjectOf<ReadOp, OurRwSem>(), SubjectOf<ReadOp, StdSharedMutex>());
    add("read pair", SubjectOf<ReadOp, OurRwSem>(), SubjectOf<ReadOp, PthreadRwLock>());
    add("read pair", SubjectOf<ReadOp, OurRwSem>(), SubjectOf<ReadOp, AbslMutex>());
    add("write pair", SubjectOf<WriteOp, OurRwSem>(), SubjectOf<WriteOp, StdSharedMutex>());
    add("1 % writes", SubjectOf<MixedOp, OurRwSem>(kOnePercent, kNoWork),
        SubjectOf<MixedOp, StdSharedMutex>(kOnePercent, kNoWork));
    add("1 % writes", SubjectOf<MixedOp, OurUnfairRwSem>(kOnePercent, kNoWork),
        SubjectOf<MixedOp, StdSharedMutex>(kOnePercent, kNoWork));
  }
  return all;
}

void PrintPairHeader() {
  absl::PrintF("%-12s %7s  %-16s %8s  %-18s %8s  %6s  %s\n", "comparison", "threads", "subject",
               "ns", "peer", "ns", "ratio", "min - max");
}

void PrintPair(const Comparison& pair, const PairResult& result) {
  absl::PrintF("%-12s %7d  %-16s %8.1f  %-18s %8.1f  %6.2f  %.2f - %.2f\n", pair.what, pair.threads,
               pair.subject.name, result.subject_ns.median, pair.peer.name, result.peer_ns.median,
               result.ratio.median, result.ratio.min, result.ratio.max);
  std::fflush(stdout);
}

/// What happened to windows, over all comparisons.
class WindowTally {
 public:
  void Add(const PairResult& result) {
    kept_ += result.windows;
    redone_ += result.redone;
    dirty_ += result.dirty;
  }
  void Print(const PairOptions& options) const {
    absl::PrintF(
        "%d windows of %.2f s kept, %d pairs per row; %d measured again because others used more "
        "than %.2f core; %d kept in spite of that\n",
        kept_, options.window_seconds, options.pairs, redone_, options.foreign_cores, dirty_);
  }

 private:
  int kept_ = 0;
  int redone_ = 0;
  int dirty_ = 0;
};

void PrintAim(const char* what, double figure, double aim, const char* unit) {
  absl::PrintF("%-64s %6.2f %-3s aim %5.2f  %s\n", what, figure, unit, aim,
               figure <= aim ? "met" : "missed");
}

bool Is(const Comparison& pair, const char* what, int threads, const char* peer) {
  return pair.threads == threads && std::string(what) == pair.what && pair.peer.name == peer;
}

}  // namespace

void PrintKeyPairs(const PairOptions& options) {
  absl::PrintF("\nInterleaved pairs; ns per operation and thread, medians\n");
  PrintPairHeader();
  const std::vector<Comparison> comparisons = KeyComparisons();
  std::vector<PairResult> results;
  WindowTally tally;
  for (const Comparison& pair : comparisons) {
    results.push_back(RunPairs(pair.subject, pair.peer, pair.threads, options));
    PrintPair(pair, results.back());
    tally.Add(results.back());
  }
  tally.Print(options);

  absl::PrintF("\nAims (of the project; text, not a test)\n");
  for (size_t i = 0; i < comparisons.size(); ++i) {
    const Comparison& pair = comparisons[i];
    if (Is(pair, "RCU section", 1, RawUrcu::kName)) {
      PrintAim("RCU section with one load, 1 thread", results[i].subject_ns.median, 4, "ns");
    }
    if (Is(pair, "read pair", 1, StdSharedMutex::kName)) {
      PrintAim("RwSem read pair, uncontended", results[i].subject_ns.median, 25, "ns");
    }
    if (Is(pair, "read pair", 2, StdSharedMutex::kName)) {
      PrintAim("RwSem read pair, 2 threads, by std::shared_mutex", results[i].ratio.median, 1.2,
               "x");
    }
  }
}

namespace {

/// A mixed load of the sweep.
struct Load {
  int threads;
  uint32_t writes_per_mille;
  int work;  ///< see MixedOp
};

std::string Describe(const RwSemPolicy& policy) {
  return absl::StrFormat("spin %d, handoff %s", policy.spin.iterations,
                         policy.handoff ? "on" : "off");
}

/// The policies under one load, and two peers, each against the default policy.
void SweepLoad(const Load& load, const PairOptions& options, WindowTally& tally) {
  const auto with_policy = [&load](const RwSemPolicy& policy) {
    return SubjectOn<MixedOp>(std::make_shared<Shared<OurRwSem>>(policy), Describe(policy),
                              load.writes_per_mille, load.work);
  };
  std::vector<Subject> subjects = {
      SubjectOf<MixedOp, StdSharedMutex>(load.writes_per_mille, load.work),
      SubjectOf<MixedOp, PthreadRwLock>(load.writes_per_mille, load.work)};
  for (const bool handoff : {true, false}) {
    for (const uint32_t spin : {0u, 50u, 200u, 1000u}) {
      subjects.push_back(with_policy({.handoff = handoff, .spin = SpinBudget{spin}}));
    }
  }
  for (const Subject& subject : subjects) {
    const PairResult result = RunPairs(subject, with_policy({}), load.threads, options);
    absl::PrintF("%7d %5d%% %5d  %-24s %8.1f %10.1f  %6.2f  %.2f - %.2f\n", load.threads,
                 load.writes_per_mille / 10, load.work, subject.name, result.subject_ns.median,
                 result.peer_ns.median, result.ratio.median, result.ratio.min, result.ratio.max);
    std::fflush(stdout);
    tally.Add(result);
  }
}

}  // namespace

void PrintPolicySweep(const PairOptions& options) {
  WindowTally tally;
  absl::PrintF("\nRwSem policies beside the default, %s; work: ns inside and again outside\n",
               Describe({}));
  absl::PrintF("%7s %6s %5s  %-24s %8s %10s  %6s  %s\n", "threads", "writes", "work", "subject",
               "ns", "default ns", "ratio", "min - max");
  for (const Load& load :
       {Load{2, 100, 40}, Load{2, 500, 40}, Load{4, 100, 40}, Load{4, 500, 40}, Load{2, 1000, 0}}) {
    SweepLoad(load, options, tally);
  }
  tally.Print(options);
}

}  // namespace faultline::bench
