// SPDX-License-Identifier: Apache-2.0
//
// Eight threads on one mm, under each locking scheme: faults of all kinds beside mmap, munmap,
// mprotect, mremap, madvise, fork and exit, and stacks that grow. What is checked: each thread's
// own pages against the naive model (stress_worker.h), the mm's and the machine's invariants at the
// end of each round, that every fault ended on one rung, and, by the sanitizers, every access.
//
// A round is a fresh mm; the first one has the scheme's default policies, the others random ones.
// Writers do what the scheme asks for, or what several do. Rounds go on until the time is up: about
// a second, or, built with FAULTLINE_LONG_STRESS, half a minute. The seed is printed.

#include <array>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <tuple>

#include "tests/core/mm/fault_options_list.h"
#include "tests/core/mm/stress_worker.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kThreads = 8;
/// Operations of one thread in one round.
constexpr int kSteps = 1500;

constexpr milliseconds TimePerTest() {
#ifdef FAULTLINE_LONG_STRESS
  return milliseconds(30'000);
#else
  return kTsan || kAsan ? milliseconds(2'500) : milliseconds(900);
#endif
}

/// Two threads share a stack, far from all else and from the others.
constexpr uint64_t kStackPages = 64;
VirtAddr StackTop(int thread) { return At(100'000 + 10'000 * (thread / 2)); }

/// One thread in one round.
class SchemeWorker {
 public:
  SchemeWorker(Mm& mm, int thread, uint64_t seed)
      : mm_(mm), worker_(mm, thread, seed), top_(StackTop(thread)) {}

  void Work() {
    worker_.Begin();
    for (int step = 0; step < kSteps && !worker_.killed(); ++step) {
      switch (Draw(8)) {
        case 0:
        case 1:
          worker_.Step();
          break;
        case 2:
          UseStack();
          break;
        case 3:
          LookAtOthers();
          break;
        default:
          FaultInCommon();
      }
    }
    worker_.End();
  }

 private:
  uint64_t Draw(uint64_t bound) { return worker_.Draw(bound); }

  /// Where all map and unmap: any outcome but death.
  void FaultInCommon() {
    static constexpr std::array kAccesses = {AccessKind::kRead, AccessKind::kWrite,
                                             AccessKind::kWrite, AccessKind::kExec};
    const AccessOutcome outcome =
        mm_.Fault({.addr = kCommon.Addr(Draw(kCommon.pages)),
                   .access = kAccesses[Draw(kAccesses.size())],
                   .mode = Draw(16) == 0 ? FaultMode::kKernel : FaultMode::kUser});
    EXPECT_NE(outcome.signal, 9);
  }
  /// Reads change nothing, but make other threads' operations meet a fault.
  void LookAtOthers() {
    const ModelPlace other = OwnPlace(static_cast<int>(Draw(kThreads)));
    (void)mm_.Touch(other.Addr(Draw(other.pages)), AccessKind::kRead);
  }
  /// The two that share it map it, let it grow page by page or by leaps, and unmap parts of it.
  void UseStack() {
    switch (Draw(16)) {
      case 0:
        (void)mm_.Mmap({.addr = top_ - 2 * kPageSize,
                        .length = 2 * kPageSize,
                        .prot = kRw,
                        .flags = kAnonFixed | abi::kMapGrowsDown});
        break;
      case 1:
        (void)mm_.Munmap(top_ - kStackPages * kPageSize, Draw(kStackPages + 1) * kPageSize);
        break;
      case 2:
        (void)mm_.Madvise(top_ - kStackPages * kPageSize, kStackPages * kPageSize,
                          abi::kMadvDontNeed);
        break;
      default: {
        const AccessOutcome outcome =
            mm_.Write(top_ - (1 + Draw(kStackPages)) * kPageSize, Draw(1000));
        EXPECT_TRUE(outcome.ok() || outcome.code == abi::kSegvMapErr) << Why(outcome);
      }
    }
  }

  Mm& mm_;
  StressWorker worker_;
  const VirtAddr top_;
};

class SchemeStressTest : public testing::TestWithParam<std::tuple<SchemeName, WriteDuties>> {
 protected:
  /// A fresh mm with those options, used by all threads.
  void Round(const FaultOptions& options, WriteDuties duties, uint64_t seed) {
    SCOPED_TRACE(TestNameOf(options));
    Mm& mm = world_.NewMm({.fault = options, .extra_duties = duties});
    RunTogether(kThreads, [&](int thread) { SchemeWorker(mm, thread, seed).Work(); });
    const FaultStatsSnapshot stats = mm.fault_stats().Snapshot();
    EXPECT_GT(stats.Ended(), 0);
    for (size_t i = 0; i < total_.size(); ++i) total_[i] += stats.Succeeded(kRungs[i]);
    Rcu::Barrier();
    world_.machine().Validate();
    world_.Drop(mm);
  }

  static constexpr std::array kRungs = {FaultRung::kValidated, FaultRung::kVmaLock,
                                        FaultRung::kMmapLock};
  std::array<int64_t, kRungs.size()> total_{};
  MmWorld world_{{.memory_bytes = 256 << 20,
                  .object_bytes = 4ull << 30,
                  .cpus = 4,
                  .contents = PageContents::kTag}};
};

TEST_P(SchemeStressTest, NoThreadLosesWhatIsItsOwnAndTheMmStaysValid) {
  const auto [scheme, duties] = GetParam();
  std::mt19937_64 random(StressSeed());
  const std::vector<FaultOptions> allowed = AllowedOptions(scheme);
  const Clock::time_point end = Clock::now() + TimePerTest();
  int rounds = 0;
  do {
    const size_t which = rounds == 0 ? 0 : random() % allowed.size();
    Round(allowed[which], duties, random());
    ++rounds;
  } while (Clock::now() < end && !HasFailure());
  world_.End();
  std::printf(
      "%d rounds; faults ended: %lld validated, %lld under the VMA lock, %lld under "
      "mmap_lock\n",
      rounds, static_cast<long long>(total_[0]), static_cast<long long>(total_[1]),
      static_cast<long long>(total_[2]));
}

INSTANTIATE_TEST_SUITE_P(Schemes, SchemeStressTest,
                         testing::Combine(testing::ValuesIn(AllSchemes()),
                                          testing::Values(WriteDuties{0}, kExtraDuties)),
                         [](const auto& test) {
                           return std::string(Name(std::get<0>(test.param))) +
                                  (std::get<1>(test.param) == 0 ? "" : "_extra_duties");
                         });

}  // namespace
}  // namespace faultline
