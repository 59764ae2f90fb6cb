// SPDX-License-Identifier: Apache-2.0
//
// What a window of fault_bench does and counts, seen from a world that only notes what it is asked;
// and that rounds compare within a round.
#include "tests/bench/fault_window.h"

#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bench/rounds.h"

namespace faultline::bench {
namespace {

/// Keeps the mappings, and what they touched at most.
class NotingWorld : public World {
 public:
  void Map(uint64_t offset, uint64_t bytes) override {
    const std::lock_guard guard(mutex_);
    for (const auto& [start, length] : mapped_) {
      EXPECT_TRUE(offset + bytes <= start || start + length <= offset) << "mapped twice";
      touching_ = touching_ || offset + bytes == start || start + length == offset;
    }
    mapped_[offset] = bytes;
    most_ = std::max(most_, mapped_.size());
  }
  void Unmap(uint64_t offset, uint64_t bytes) override {
    const std::lock_guard guard(mutex_);
    EXPECT_EQ(mapped_[offset], bytes);
    mapped_.erase(offset);
  }
  Touched WriteFaults(const Touches& touches, const std::atomic<bool>& over) override {
    {
      const std::lock_guard guard(mutex_);
      EXPECT_TRUE(IsMapped(touches));
      parts_.emplace(touches.offset, touches.count);
      ++runs_;
    }
    EXPECT_EQ(begun_, ended_ + 1);
    while (waits_for_touching_ && !IsTouched()) std::this_thread::yield();
    uint64_t done = 0;
    while (done < touches.count && !over.load(std::memory_order_relaxed)) ++done;
    faulted_ += done;
    return {.done = done, .failed = failing_ ? done : 0};
  }
  void Settle() override { ++settled_; }
  void BeforeFaults() override { ++begun_; }
  void AfterFaults() override { EXPECT_EQ(++ended_, begun_); }
  /// Each second fault reclaims, twice.
  uint64_t ReclaimEntries() override { return faulted_ / 2 * 2; }
  FaultCounts Counts() override {
    FaultCounts counts;
    counts[static_cast<size_t>(FaultCount::kRetries)] = faulted_.load();
    return counts;
  }

  [[nodiscard]] bool IsTouched() {
    const std::lock_guard guard(mutex_);
    return touching_;
  }
  [[nodiscard]] bool IsMapped(const Touches& touches) const {
    for (const auto& [start, length] : mapped_) {
      const uint64_t end = touches.offset + touches.count * touches.stride;
      if (start <= touches.offset && end <= start + length) return true;
    }
    return false;
  }

  std::mutex mutex_;
  std::map<uint64_t, uint64_t> mapped_;  ///< bytes by offset
  std::map<uint64_t, uint64_t> parts_;   ///< touches by offset
  size_t most_ = 0;                      ///< mappings at a time
  bool touching_ = false;                ///< two mappings were neighbours
  int runs_ = 0;
  bool failing_ = false;
  bool waits_for_touching_ = false;  ///< faults wait for it, however late the mapper's thread runs
  std::atomic<int> settled_{0};
  std::atomic<int> begun_{0};  ///< phases' faults
  std::atomic<int> ended_{0};
  std::atomic<uint64_t> faulted_{0};
};

class FaultWindowTest : public testing::Test {
 protected:
  Window Run(WindowSpec spec) {
    spec.touches = 1000;
    spec.seconds = 0.002;
    return RunFaultWindow(crew_, world_, spec);
  }

  Crew crew_{9};
  NotingWorld world_;
};

TEST_F(FaultWindowTest, UnmapsAllAndCountsAllButTheFirstPhase) {
  const Window window = Run({.threads = 1});
  EXPECT_TRUE(world_.mapped_.empty());
  EXPECT_GE(world_.runs_, 2);
  EXPECT_EQ(window.faults, 1000u * static_cast<uint64_t>(world_.runs_ - 1));
  EXPECT_GT(window.seconds, 0);
  EXPECT_EQ(window.failed, 0u);
  EXPECT_EQ(world_.settled_, 0);
}

TEST_F(FaultWindowTest, CountsOfTheCoreAreThoseOfTheTimedFaults) {
  const Window window = Run({.threads = 2});
  EXPECT_EQ(Of(window.counts, FaultCount::kRetries), window.faults);
  EXPECT_EQ(Of(window.counts, FaultCount::kTablesAllocated), std::nullopt);
}

TEST_F(FaultWindowTest, OneVmaHasAPartForEachThread) {
  const Window window = Run({.threads = 3, .layout = Layout::kOneVma});
  EXPECT_EQ(window.threads, 3);
  EXPECT_EQ(world_.most_, 1u);
  EXPECT_THAT(world_.parts_,
              testing::ElementsAre(testing::Pair(0, 1000), testing::Pair(1000 * kPageSize, 1000),
                                   testing::Pair(2000 * kPageSize, 1000)));
}

TEST_F(FaultWindowTest, OwnVmasHaveGapsBetweenThem) {
  (void)Run({.threads = 3, .layout = Layout::kOwnVmas});
  EXPECT_EQ(world_.parts_.size(), 3u);
  EXPECT_FALSE(world_.touching_);
  EXPECT_TRUE(world_.mapped_.empty());
}

TEST_F(FaultWindowTest, MoreThreadsThanCpusTouchAllOfTheirParts) {
  const int threads = std::min(8, static_cast<int>(std::thread::hardware_concurrency()) + 1);
  if (threads == 8) GTEST_SKIP() << "too many CPUs";
  const Window window = Run({.threads = threads});
  EXPECT_EQ(window.faults % (1000u * static_cast<uint64_t>(threads)), 0u);
}

TEST_F(FaultWindowTest, FarMapperTouchesNoOtherMapping) {
  const Window window = Run({.neighbour = Neighbour::kFarMapper});
  EXPECT_FALSE(world_.touching_);
  EXPECT_TRUE(world_.mapped_.empty());
  EXPECT_EQ(window.threads, 1);
}

TEST_F(FaultWindowTest, MergingMapperTouchesTheFaultedMapping) {
  world_.waits_for_touching_ = true;
  (void)Run({.neighbour = Neighbour::kMergingMapper});
  EXPECT_TRUE(world_.touching_);
  EXPECT_TRUE(world_.mapped_.empty());
}

TEST_F(FaultWindowTest, SpinningNeighbourMapsNothing) {
  const Window window = Run({.neighbour = Neighbour::kSpins});
  EXPECT_EQ(world_.most_, 1u);
  EXPECT_EQ(window.mapper_ops, 0u);
}

TEST_F(FaultWindowTest, SettlesAfterEachPhaseIfAsked) {
  (void)Run({.settle = true});
  EXPECT_EQ(world_.settled_, world_.runs_);
}

TEST_F(FaultWindowTest, TellsWhenThePhasesFaultsBeginAndEnd) {
  (void)Run({});
  EXPECT_EQ(world_.begun_, world_.runs_);
  EXPECT_EQ(world_.ended_, world_.runs_);
}

TEST_F(FaultWindowTest, LooksAtEachFaultIfAsked) {
  const Window window = Run({.each = true});
  EXPECT_EQ(world_.runs_ % 1000, 0) << "one call for each fault";
  EXPECT_EQ(window.faults, static_cast<uint64_t>(world_.runs_) - 1000);
  EXPECT_EQ(window.reclaimed, window.faults / 2);
  EXPECT_DOUBLE_EQ(window.PercentUnreclaimed(), 50);
  EXPECT_GT(window.P99Ns(), 0);
}

TEST_F(FaultWindowTest, LooksAtNoFaultIfNotAsked) {
  const Window window = Run({});
  EXPECT_EQ(window.P99Ns(), 0);
  EXPECT_EQ(window.reclaimed, 0u);
}

TEST_F(FaultWindowTest, FailedFaultsAreTold) {
  world_.failing_ = true;
  const Window window = Run({});
  EXPECT_EQ(window.failed, window.faults);
}

TEST(OurWorldTest, FaultsEachPageOnceAndGivesAllBack) {
  auto machine = Machine::Create({.memory_bytes = 64 << 20});
  ASSERT_TRUE(machine.ok());
  const auto mm = (*machine)->CreateMm({});
  ASSERT_TRUE(mm.ok());
  {
    OurWorld world(**machine, **mm);
    const std::atomic<bool> over{false};
    world.Map(0, 100 * kPageSize);
    const Touched touched = world.WriteFaults({.count = 100}, over);
    EXPECT_EQ(touched.done, 100u);
    EXPECT_EQ(touched.failed, 0u);
    EXPECT_EQ((*mm)->counters().Sum(MmCounter::kAnonPages), 100);
    world.Unmap(0, 100 * kPageSize);
    EXPECT_EQ((*mm)->counters().Sum(MmCounter::kAnonPages), 0);
    EXPECT_EQ(world.WriteFaults({.count = 3}, over).failed, 3u) << "nothing is mapped";
  }
  (*mm)->DropUser();
}

TEST(RoundsTest, ComparesWithinARound) {
  // The second cell takes twice the first one's time, which changes from round to round.
  Rounds<Window> rounds;
  double unit = 0.5;
  const auto cell = [&unit](double factor) {
    return [&unit, factor] {
      unit *= 1.3;
      Window window;
      window.threads = 1;
      window.faults = 10;
      window.seconds = factor * unit;
      return window;
    };
  };
  const size_t first = rounds.Add(cell(1));
  const size_t second = rounds.Add(cell(2));
  rounds.Run({.rounds = 2, .foreign_cores = 1000}, "test");
  EXPECT_EQ(rounds.tally().kept, 4);
  EXPECT_EQ(rounds.tally().redone, 0);
  const Spread ratio = rounds.Ratio(second, first, &Window::NsPerFault);
  // Opposite orders: the drift makes the one pair's ratio greater and the other's smaller.
  EXPECT_NEAR(ratio.max, 2 * 1.3, 1e-9);
  EXPECT_NEAR(ratio.min, 2 / 1.3, 1e-9);
  EXPECT_EQ(SumOf(rounds.windows(first)).faults, 20u);
  EXPECT_EQ(SumOf(rounds.windows(first)).threads, 1);
}

}  // namespace
}  // namespace faultline::bench
