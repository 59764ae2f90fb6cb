// SPDX-License-Identifier: Apache-2.0
//
// One window of fault_bench: pinned threads touch large fresh mappings, page by page, alone or
// beside a mapper, again and again for a fraction of a second.
//
// A window is a row of phases. In each, the mappings are made, the threads start together, fault,
// and stop together; then everything is unmapped. Only the faulting is timed and counted, and the
// first phase is not, since it finds caches and lists as another window left them. With a CPU for
// each thread a phase is over when the first thread has touched all of its part, so that no thread
// is timed while it is alone; with fewer CPUs, when the last has.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/bench/fault_world.h"

namespace faultline::bench {

/// Threads that live as long as the program measures, thread i pinned to CPU i modulo the number of
/// CPUs: a thread of a window keeps its per-CPU lists from one window to the next.
class Crew {
 public:
  explicit Crew(int size);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// Runs `body(i)` on the first `threads` of them; returns when all have.
  void Run(int threads, const std::function<void(int)>& body);

 private:
  void Work(int index);

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t job_ = 0;  ///< guarded by mutex_, as what follows
  int wanted_ = 0;
  int busy_ = 0;
  bool quit_ = false;
  const std::function<void(int)>* body_ = nullptr;
  std::vector<std::thread> threads_;
};

enum class Layout : uint8_t {
  kOneVma,   ///< all threads in one VMA, each in a part of its own
  kOwnVmas,  ///< a VMA for each thread, far from the others'
};

/// What one more thread does meanwhile.
enum class Neighbour : uint8_t {
  kNone,
  kSpins,          ///< uses its CPU
  kFarMapper,      ///< maps and unmaps a range that touches no other
  kFarToucher,     ///< likewise, and touches a page of it in between
  kMergingMapper,  ///< likewise at the end of the (only) faulted VMA, which grows and shrinks
};

struct WindowSpec {
  int threads = 1;
  Layout layout = Layout::kOneVma;
  uint64_t touches = 0;  ///< of each thread, in a phase
  uint64_t stride = kPageSize;
  Neighbour neighbour = Neighbour::kNone;
  uint64_t crowd = 0;  ///< mappings that nobody touches, between the others and the far one
  double mapper_period_ns = 0;  ///< from one map and unmap to the next, at least; 0: no pause
  bool settle = false;          ///< World::Settle after each phase
  bool each = false;            ///< look at each fault, which costs; see Window
  double seconds = 0.15;        ///< of counted phases, with all that is not timed; one at least
};

/// What a window measured; sums over its phases.
struct Window {
  int threads = 0;
  uint64_t faults = 0;
  uint64_t failed = 0;  ///< of `faults`
  double seconds = 0;   ///< from the first thread's start to the last one's end
  uint64_t mapper_ops = 0;
  FaultCounts counts = NoneYet();
  double foreign_cores = 0;  ///< that others used meanwhile; a sum of windows has none
  // If each fault is looked at; `seconds` has the clock in it then.
  double p99_ns = 0;       ///< of a fault; a sum of windows has none
  uint64_t reclaimed = 0;  ///< faults that entered direct reclaim

  /// Of a thread's time.
  [[nodiscard]] double NsPerFault() const {
    return 1e9 * seconds * threads / static_cast<double>(faults);
  }
  [[nodiscard]] double P99Ns() const { return p99_ns; }
  /// Faults that never entered direct reclaim, if each is looked at.
  [[nodiscard]] double PercentUnreclaimed() const {
    return 100.0 - 100.0 * static_cast<double>(reclaimed) / static_cast<double>(faults);
  }
  /// Frames that a Freer freed by those that faults kept, pages and tables.
  [[nodiscard]] double FreedByTaken() const {
    const auto count = [this](FaultCount which) { return Of(counts, which).value_or(0); };
    const uint64_t pages = faults - failed;
    const uint64_t tables =
        count(FaultCount::kTablesAllocated) - count(FaultCount::kTablesThrownAway);
    return static_cast<double>(count(FaultCount::kFreedByOthers)) /
           static_cast<double>(pages + tables);
  }
  /// Of all threads together.
  [[nodiscard]] double FaultsPerSecond() const { return static_cast<double>(faults) / seconds; }
  [[nodiscard]] double MapperOpsPerSecond() const {
    return static_cast<double>(mapper_ops) / seconds;
  }
};

/// All of them in one; its counts and faults are exact.
[[nodiscard]] Window SumOf(const std::vector<Window>& windows);

/// The crew has a thread for each of the spec's, and one for the neighbour.
[[nodiscard]] Window RunFaultWindow(Crew& crew, World& world, const WindowSpec& spec);

/// What a far mapper's map and unmap costs with nobody beside it.
[[nodiscard]] double MapperNsAlone(Crew& crew, World& world, double seconds);

}  // namespace faultline::bench
