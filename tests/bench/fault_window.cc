// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_window.h.
#include "tests/bench/fault_window.h"

#include <sched.h>

#include <algorithm>

#include "tests/bench/pairs.h"

namespace faultline::bench {
namespace {

constexpr uint64_t kOwnVmaApart = 2ull << 30;  ///< at least; so no PMD table is shared
constexpr uint64_t kFar = 128ull << 30;
constexpr uint64_t kMapperBytes = 16 * kPageSize;
constexpr uint64_t kCrowd = 64ull << 30;  ///< where it begins
constexpr uint64_t kCrowdBytes = kPageSize;

void Pause() { __builtin_ia32_pause(); }

/// A barrier that spins, since a phase is not much longer than a wake-up takes; with more threads
/// than CPUs it gives way after a while.
class Gate {
 public:
  explicit Gate(int threads) : threads_(threads) {}

  void Wait() {
    constexpr int kSpins = 2000;
    const uint32_t round = round_.load(std::memory_order_acquire);  // pairs with the store below
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      waiting_.store(0, std::memory_order_relaxed);  // relaxed: published with the round
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      spins < kSpins ? Pause() : static_cast<void>(sched_yield());
    }
  }

 private:
  const int threads_;
  alignas(kApart) std::atomic<int> waiting_{0};
  alignas(kApart) std::atomic<uint32_t> round_{0};
};

class FaultWindow {
 public:
  FaultWindow(World& world, const WindowSpec& spec)
      : world_(world),
        spec_(spec),
        gate_(spec.threads),
        ends_with_first_(spec.threads <= static_cast<int>(std::thread::hardware_concurrency())),
        runs_(static_cast<size_t>(spec.threads)) {
    window_.threads = spec.threads;
  }

  Window Run(Crew& crew) {
    const int neighbours = spec_.neighbour == Neighbour::kNone ? 0 : 1;
    ForCrowd([this](uint64_t offset) { world_.Map(offset, kCrowdBytes); });
    crew.Run(spec_.threads + neighbours,
             [this](int index) { index < spec_.threads ? Fault(index) : Disturb(); });
    ForCrowd([this](uint64_t offset) { world_.Unmap(offset, kCrowdBytes); });
    if (!fault_ns_.empty()) {
      const auto p99 = fault_ns_.begin() + static_cast<ptrdiff_t>(fault_ns_.size() * 99 / 100);
      std::nth_element(fault_ns_.begin(), p99, fault_ns_.end());
      window_.p99_ns = *p99;
    }
    return window_;
  }

 private:
  /// With gaps, or they would be one.
  template <class Do>
  void ForCrowd(const Do& with_offset) {
    for (uint64_t i = 0; i < spec_.crowd; ++i) with_offset(kCrowd + i * 2 * kCrowdBytes);
  }

  /// One thread's part of a phase.
  struct alignas(kApart) PartRun {
    int64_t start_ns = 0;
    int64_t end_ns = 0;
    Touched touched;
    // Of each fault, if that is looked at.
    std::vector<uint32_t> fault_ns;
    uint64_t reclaimed = 0;
  };

  /// The phases, as thread `index` of those that fault; thread 0 keeps the books.
  void Fault(int index) {
    PartRun& run = runs_[static_cast<size_t>(index)];
    for (bool counts = false; !done_; counts = true) {
      MapOwn(index);
      if (index == 0) OpenPhase();
      gate_.Wait();
      run.start_ns = NowNs();
      run.touched =
          spec_.each ? FaultEach(run, PartOf(index)) : world_.WriteFaults(PartOf(index), over_);
      run.end_ns = NowNs();
      if (ends_with_first_) over_.store(true, std::memory_order_relaxed);  // relaxed: only a flag
      gate_.Wait();
      if (index == 0) ClosePhase(counts);
      UnmapOwn(index);
      if (index == 0 && spec_.settle) world_.Settle();
      gate_.Wait();
    }
    if (index == 0) stop_neighbour_.store(true, std::memory_order_relaxed);
  }

  /// One by one. With several threads, one's reclaim may count for another's fault, too.
  Touched FaultEach(PartRun& run, const Touches& touches) {
    run.fault_ns.clear();
    run.reclaimed = 0;
    Touched sum;
    uint64_t offset = touches.offset;
    for (; sum.done < touches.count; offset += touches.stride) {
      const uint64_t entries_before = world_.ReclaimEntries();
      const int64_t start_ns = NowNs();
      const Touched touched = world_.WriteFaults({.offset = offset, .count = 1}, over_);
      const int64_t end_ns = NowNs();
      if (touched.done == 0) break;
      run.fault_ns.push_back(static_cast<uint32_t>(end_ns - start_ns));
      if (world_.ReclaimEntries() != entries_before) ++run.reclaimed;
      ++sum.done;
      sum.failed += touched.failed;
    }
    return sum;
  }

  void OpenPhase() {
    over_.store(false, std::memory_order_relaxed);  // relaxed: the gate orders it
    counts_before_ = world_.Counts();
    mapper_before_ = mapper_ops_.load(std::memory_order_relaxed);  // a statistic
    world_.BeforeFaults();
  }

  void ClosePhase(bool counts) {
    world_.AfterFaults();
    const uint64_t mapper_after = mapper_ops_.load(std::memory_order_relaxed);  // a statistic
    if (!counts) {
      start_ns_ = NowNs();
      return;
    }
    const double elapsed = 1e-9 * static_cast<double>(NowNs() - start_ns_);
    done_ = elapsed >= spec_.seconds;  // read by the others behind the next gate
    AddDifference(window_.counts, counts_before_, world_.Counts());
    window_.mapper_ops += mapper_after - mapper_before_;
    int64_t start_ns = runs_.front().start_ns;
    int64_t end_ns = runs_.front().end_ns;
    for (const PartRun& run : runs_) {
      start_ns = std::min(start_ns, run.start_ns);
      end_ns = std::max(end_ns, run.end_ns);
      window_.faults += run.touched.done;
      window_.failed += run.touched.failed;
      window_.reclaimed += run.reclaimed;
      fault_ns_.insert(fault_ns_.end(), run.fault_ns.begin(), run.fault_ns.end());
    }
    window_.seconds += 1e-9 * static_cast<double>(end_ns - start_ns);
  }

  [[nodiscard]] uint64_t PartBytes() const { return spec_.touches * spec_.stride; }
  [[nodiscard]] Touches PartOf(int index) const {
    const uint64_t apart = spec_.layout == Layout::kOneVma
                               ? PartBytes()
                               : std::max(kOwnVmaApart, PartBytes() + kOwnVmaApart / 2);
    return {static_cast<uint64_t>(index) * apart, spec_.touches, spec_.stride};
  }
  void MapOwn(int index) {
    if (spec_.layout == Layout::kOwnVmas) return world_.Map(PartOf(index).offset, PartBytes());
    if (index == 0) world_.Map(0, PartBytes() * static_cast<uint64_t>(spec_.threads));
  }
  void UnmapOwn(int index) {
    if (spec_.layout == Layout::kOwnVmas) return world_.Unmap(PartOf(index).offset, PartBytes());
    if (index == 0) world_.Unmap(0, PartBytes() * static_cast<uint64_t>(spec_.threads));
  }

  [[nodiscard]] bool NeighbourMayGoOn() const {
    return !stop_neighbour_.load(std::memory_order_relaxed);  // relaxed: only a flag
  }

  void Disturb() {
    if (spec_.neighbour == Neighbour::kSpins) {
      while (NeighbourMayGoOn()) Pause();
      return;
    }
    const uint64_t end = PartBytes() * static_cast<uint64_t>(spec_.threads);
    const uint64_t offset = spec_.neighbour == Neighbour::kMergingMapper ? end : kFar;
    const auto period = static_cast<int64_t>(spec_.mapper_period_ns);
    uint64_t ops = 0;
    for (int64_t next = NowNs(); NeighbourMayGoOn();) {
      world_.Map(offset, kMapperBytes);
      if (spec_.neighbour == Neighbour::kFarToucher) {
        (void)world_.WriteFaults({.offset = offset, .count = 1}, never_);
      }
      world_.Unmap(offset, kMapperBytes);
      mapper_ops_.store(++ops, std::memory_order_relaxed);  // a statistic
      if (period == 0) continue;
      next = std::max(next + period, NowNs());  // what it is late, it does not catch up
      while (NowNs() < next && NeighbourMayGoOn()) Pause();
    }
  }

  World& world_;
  const WindowSpec spec_;
  Gate gate_;
  const bool ends_with_first_;
  std::vector<PartRun> runs_;
  // Thread 0's books; the gates order them.
  Window window_;
  int64_t start_ns_ = 0;  ///< when the first phase, which does not count, was over
  std::vector<uint32_t> fault_ns_;
  FaultCounts counts_before_{};
  uint64_t mapper_before_ = 0;
  bool done_ = false;

  const std::atomic<bool> never_{false};
  alignas(kApart) std::atomic<bool> over_{false};
  alignas(kApart) std::atomic<uint64_t> mapper_ops_{0};
  alignas(kApart) std::atomic<bool> stop_neighbour_{false};
};

}  // namespace

// -- Crew -----------------------------------------------------------------------------------------

Crew::Crew(int size) {
  threads_.reserve(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) threads_.emplace_back([this, i] { Work(i); });
}

Crew::~Crew() {
  {
    const std::lock_guard guard(mutex_);
    quit_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::Run(int threads, const std::function<void(int)>& body) {
  MM_CHECK(threads <= static_cast<int>(threads_.size()));
  std::unique_lock lock(mutex_);
  body_ = &body;
  wanted_ = busy_ = threads;
  ++job_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void Crew::Work(int index) {
  PinToCpu(index);
  (void)CurrentTask();  // registers the thread
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return quit_ || job_ != seen; });
    if (quit_) return;
    seen = job_;
    if (index >= wanted_) continue;
    const std::function<void(int)>& body = *body_;
    lock.unlock();
    body(index);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

// -- Windows --------------------------------------------------------------------------------------

Window RunFaultWindow(Crew& crew, World& world, const WindowSpec& spec) {
  const ForeignMeter meter;
  Window window = FaultWindow(world, spec).Run(crew);
  window.foreign_cores = meter.Cores();
  return window;
}

Window SumOf(const std::vector<Window>& windows) {
  Window sum;
  for (const Window& window : windows) {
    sum.threads = window.threads;
    sum.faults += window.faults;
    sum.failed += window.failed;
    sum.reclaimed += window.reclaimed;
    sum.seconds += window.seconds;
    sum.mapper_ops += window.mapper_ops;
    AddDifference(sum.counts, NoneYet(), window.counts);
  }
  return sum;
}

double MapperNsAlone(Crew& crew, World& world, double seconds) {
  double ns = 0;
  crew.Run(1, [&](int) {
    const int64_t start = NowNs();
    uint64_t ops = 0;
    for (; static_cast<double>(NowNs() - start) < 1e9 * seconds; ++ops) {
      world.Map(kFar, kMapperBytes);
      world.Unmap(kFar, kMapperBytes);
    }
    ns = static_cast<double>(NowNs() - start) / static_cast<double>(ops);
  });
  return ns;
}

}  // namespace faultline::bench
