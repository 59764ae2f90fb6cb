// SPDX-License-Identifier: Apache-2.0
//
// What the sync layer costs: each primitive beside its peers in the same run, with 1 and 2 pinned
// threads, then the key comparisons in interleaved pairs and the project's aims next to them.
//
//   sync_bench [--pairs | --no-pairs | --policies] [--benchmark_...]
//
// With 2 threads, Google Benchmark's "Time" is wall time by the operations of both, "CPU" is CPU
// time by operation: the latter is what an operation takes a busy core. Contended figures have two
// stable states on small machines and flip between runs; only the pairs compare them.
#include <semaphore.h>

#include <cstring>
#include <string>
#include <thread>

#include <absl/strings/str_format.h>
#include <benchmark/benchmark.h>

#include "core/sync/lock_stats.h"
#include "core/sync/lockdep.h"
#include "tests/bench/sync_pairs.h"
#include "tests/bench/sync_subjects.h"

namespace faultline::bench {
namespace {

/// `Op` on the lock that all threads share.
template <template <class> class Op, class Lock>
void Run(benchmark::State& state) {
  PinToCpu(state.thread_index());
  (void)CurrentTask();
  Op<Lock> op(SharedOf<Lock>(), state.thread_index());
  for (auto _ : state) op();
}

template <template <class> class Op, class... Locks>
void Compare(const std::string& what) {
  (benchmark::RegisterBenchmark((what + "/" + Locks::kName).c_str(), &Run<Op, Locks>)
       ->Threads(1)
       ->Threads(2)
       ->UseRealTime(),
   ...);
}

void SeqCountRead(benchmark::State& state) {
  struct Pair {
    alignas(kApart) SeqCount seq;
    std::atomic<uint64_t> left{0};
    std::atomic<uint64_t> right{0};
  };
  static Pair shared;
  PinToCpu(state.thread_index());
  for (auto _ : state) {
    uint64_t note = 0;
    uint64_t sum = 0;
    do {
      note = shared.seq.ReadBegin();
      sum = shared.left.load(kRelaxed) + shared.right.load(kRelaxed);
    } while (shared.seq.ReadRetry(note));
    benchmark::DoNotOptimize(sum);
  }
}

void PreemptOffPair(benchmark::State& state) {
  static CpuSet cpus(2);
  static PerCpu<uint64_t> counters(cpus);
  PinToCpu(state.thread_index());
  for (auto _ : state) {
    const PreemptOff preempt_off(cpus);
    benchmark::DoNotOptimize(++counters.Local(preempt_off));
  }
}

void SharedCounter(benchmark::State& state) {
  alignas(kApart) static std::atomic<uint64_t> counter;
  PinToCpu(state.thread_index());
  for (auto _ : state) benchmark::DoNotOptimize(counter.fetch_add(1, kRelaxed));
}

// -- Retiring -------------------------------------------------------------------------------------

struct OurNode {
  static constexpr const char* kName = "Rcu::Retire";
  RcuHead head;  // first: the callback gets its address
  void Retire() {
    Rcu::Retire(head, [](RcuHead* retired) { delete reinterpret_cast<OurNode*>(retired); });
  }
};

struct RawNode {
  static constexpr const char* kName = "urcu_memb_call_rcu";
  rcu_head head;
  void Retire() {
    urcu_memb_call_rcu(&head, [](rcu_head* raw) { delete reinterpret_cast<RawNode*>(raw); });
  }
};

/// Allocation, retiring and, on the library's thread, the callback that frees.
template <class Node>
void RetireOne(benchmark::State& state) {
  constexpr uint64_t kBacklog = 1u << 16;
  PinToCpu(state.thread_index());
  (void)CurrentTask();
  uint64_t count = 0;
  for (auto _ : state) {
    (new Node)->Retire();
    if (++count % kBacklog == 0) {
      state.PauseTiming();
      Rcu::Barrier();
      state.ResumeTiming();
    }
  }
  Rcu::Barrier();
}

// -- Parking --------------------------------------------------------------------------------------

/// A semaphore of one task's own, as parking is.
struct OurParker {
  static constexpr const char* kName = "Task::Park";
  std::atomic<Task*> task{nullptr};
  void Own() { task.store(&CurrentTask(), kRelease); }
  void Wait() { Task::Park(); }
  void Wake() const { task.load(kAcquire)->Unpark(); }
  [[nodiscard]] bool IsOwned() const { return task.load(kAcquire) != nullptr; }
};

struct PosixParker {
  static constexpr const char* kName = "sem_t";
  sem_t semaphore;
  PosixParker() { sem_init(&semaphore, 0, 0); }
  void Own() {}
  void Wait() {
    while (sem_wait(&semaphore) != 0) {
    }
  }
  void Wake() { sem_post(&semaphore); }
  [[nodiscard]] static bool IsOwned() { return true; }
};

/// The token is there already: no sleeping.
template <class Parker>
void WakeThenWait(benchmark::State& state) {
  alignas(kApart) Parker parker;
  parker.Own();
  for (auto _ : state) {
    parker.Wake();
    parker.Wait();
  }
}

/// One round trip between two threads on two CPUs, both of which sleep.
template <class Parker>
void PingPong(benchmark::State& state) {
  struct Both {
    alignas(kApart) Parker here;
    alignas(kApart) Parker there;
    alignas(kApart) std::atomic<bool> stop{false};
  } both;
  both.here.Own();
  PinToCpu(0);
  std::thread partner([&both] {
    PinToCpu(1);
    both.there.Own();
    while (true) {
      both.there.Wait();
      if (both.stop.load(kAcquire)) return;
      both.here.Wake();
    }
  });
  while (!both.there.IsOwned()) std::this_thread::yield();
  for (auto _ : state) {
    both.there.Wake();
    both.here.Wait();
  }
  both.stop.store(true, kRelease);
  both.there.Wake();
  partner.join();
}

template <class Parker>
void RegisterParking() {
  const std::string name = Parker::kName;
  benchmark::RegisterBenchmark(("wake then wait/" + name).c_str(), &WakeThenWait<Parker>);
  benchmark::RegisterBenchmark(("ping-pong/" + name).c_str(), &PingPong<Parker>)->UseRealTime();
}

// -- Instrumentation ------------------------------------------------------------------------------

struct Instruments {
  const char* name;
  bool lockdep;
  LockStatsLevel level;
};

template <template <class> class Op, class Lock>
void Instrumented(benchmark::State& state, const Instruments& instruments) {
  PinToCpu(0);
  (void)CurrentTask();
  Op<Lock> op(SharedOf<Lock>(), 0);
  SetLockdep(instruments.lockdep);
  SetLockStatsLevel(instruments.level);
  for (auto _ : state) op();
  SetLockdep(false);
  SetLockStatsLevel(LockStatsLevel::kOff);
}

template <template <class> class Op, class Lock>
void RegisterInstrumented(const std::string& what) {
  for (const Instruments& instruments :
       {Instruments{"off", false, LockStatsLevel::kOff},
        Instruments{"lockdep", true, LockStatsLevel::kOff},
        Instruments{"kWaits", false, LockStatsLevel::kWaits},
        Instruments{"kHolds", false, LockStatsLevel::kHolds},
        Instruments{"lockdep and kHolds", true, LockStatsLevel::kHolds}}) {
    benchmark::RegisterBenchmark((what + "/" + Lock::kName + "/hooks: " + instruments.name).c_str(),
                                 &Instrumented<Op, Lock>, instruments);
  }
}

// -- The program ----------------------------------------------------------------------------------

void RegisterAll() {
  Compare<ReadOp, OurRcu, RawUrcu, NoLock>("read section");
  Compare<WriteOp, OurSpinLock, PthreadSpinLock>("spin pair");
  Compare<WriteOp, OurMutex, StdMutex, AbslMutex>("mutex pair");
  Compare<ReadOp, OurRwSem, OurUnfairRwSem, StdSharedMutex, PthreadRwLock, AbslMutex>("read pair");
  Compare<WriteOp, OurRwSem, OurUnfairRwSem, StdSharedMutex, PthreadRwLock, AbslMutex>(
      "write pair");
  const auto both = [](const std::string& name, void (*function)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name.c_str(), function)->Threads(1)->Threads(2)->UseRealTime();
  };
  both("seq read/SeqCount", &SeqCountRead);
  both("per-CPU increment/PreemptOff", &PreemptOffPair);
  both("per-CPU increment/one shared atomic", &SharedCounter);
  both(std::string("retire/") + OurNode::kName, &RetireOne<OurNode>);
  both(std::string("retire/") + RawNode::kName, &RetireOne<RawNode>);
  RegisterParking<OurParker>();
  RegisterParking<PosixParker>();
  RegisterInstrumented<WriteOp, OurSpinLock>("instrumented");
  RegisterInstrumented<WriteOp, OurMutex>("instrumented");
  RegisterInstrumented<ReadOp, OurRwSem>("instrumented");
}

/// Removes `flag` from the arguments; whether it was there.
bool Take(int& argc, char** argv, const char* flag) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], flag) != 0) continue;
    for (int j = i; j < argc; ++j) argv[j] = argv[j + 1];  // the null behind them, too
    --argc;
    return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  const bool only_pairs = Take(argc, argv, "--pairs");
  const bool no_pairs = Take(argc, argv, "--no-pairs");
  const bool policies = Take(argc, argv, "--policies");
  if (only_pairs + no_pairs + policies > 1) {
    absl::FPrintF(stderr, "sync_bench: one of --pairs, --no-pairs and --policies\n");
    return 2;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  // lockdep is on by default in checked builds; here only where it is what is measured. And the
  // thread for RCU's callbacks starts now, while nothing is pinned, as it inherits that.
  SetLockdep(false);
  (new OurNode)->Retire();
  Rcu::Barrier();
  if (!only_pairs && !policies) {
    RegisterAll();
    benchmark::RunSpecifiedBenchmarks();
  }
  if (policies) {
    PrintPolicySweep({.pairs = 5});
  } else if (!no_pairs) {
    PrintKeyPairs({});
  }
  return 0;
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) { return faultline::bench::Main(argc, argv); }
