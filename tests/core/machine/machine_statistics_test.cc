// SPDX-License-Identifier: Apache-2.0
//
// What a machine knows about all its mms: how faults fared, with those that have exited, resets,
// counters by Linux's names; and what an mm says of itself.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/machine/vmstat.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

constexpr auto kWrite = AccessKind::kWrite;

class MachineStatisticsTest : public MmTest {
 protected:
  /// As many faults on fresh pages of an mm of its own.
  Mm& WithFaults(int64_t faults) {
    Mm& mm = world().NewMm();
    MapIn(mm, 0, static_cast<uint64_t>(faults));
    for (int64_t page = 0; page < faults; ++page) {
      EXPECT_TRUE(mm.Fault({At(page), kWrite}).ok());
    }
    return mm;
  }
  static int64_t Ended(Mm& mm) { return mm.fault_stats().Snapshot().Ended(); }
  [[nodiscard]] int64_t Ended() { return machine().FaultStatistics().Ended(); }

  [[nodiscard]] uint64_t Stat(std::string_view name) {
    for (const VmStatValue& stat : VmStat(machine())) {
      if (stat.name == name) return stat.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
};

TEST_F(MachineStatisticsTest, IncludeMmsThatHaveExited) {
  EXPECT_EQ(Ended(), 0);
  EXPECT_EQ(machine().mm_count(), 1u);
  WithFaults(3);
  Mm& second = WithFaults(4);
  EXPECT_EQ(machine().mm_count(), 3u);
  EXPECT_EQ(Ended(), 7);
  world().Drop(second);
  EXPECT_EQ(machine().mm_count(), 2u);
  EXPECT_EQ(Ended(), 7);
  EXPECT_EQ(machine().FaultStatistics().Ended(FaultKind::kAnon), 7);
}

TEST_F(MachineStatisticsTest, ResetOfOneMmLeavesTheMachineAlone) {
  Mm& mm = WithFaults(3);
  Mm& other = WithFaults(2);
  EXPECT_EQ(mm.ResetFaultStatistics().Ended(), 3);
  EXPECT_EQ(Ended(mm), 0);
  EXPECT_EQ(Ended(other), 2);
  EXPECT_EQ(Ended(), 5);
  EXPECT_TRUE(mm.Fault({At(0), kWrite}).ok());
  EXPECT_EQ(Ended(), 6);
  world().Drop(mm);
  EXPECT_EQ(Ended(), 6) << "an mm that goes has counted what it counted, reset or not";
}

TEST_F(MachineStatisticsTest, ResetOfTheMachineIsOneOfAllItsMms) {
  Mm& mm = WithFaults(3);
  world().Drop(WithFaults(2));
  EXPECT_EQ(machine().ResetFaultStatistics().Ended(), 5);
  EXPECT_EQ(Ended(), 0);
  EXPECT_EQ(Ended(mm), 0);
  EXPECT_TRUE(mm.Fault({At(0), kWrite}).ok());
  EXPECT_EQ(Ended(), 1);
  EXPECT_EQ(machine().ResetFaultStatistics().Ended(), 1);
  EXPECT_EQ(machine().FaultTotals().Ended(), 6);
}

TEST_F(MachineStatisticsTest, VmStatCountsSinceTheMachineWasMade) {
  Mm& mm = WithFaults(8);
  EXPECT_EQ(Stat("pgfault"), 8u);
  EXPECT_EQ(Stat("nr_page_table_pages"), static_cast<uint64_t>(machine().Sum(MmCounter::kTables)));
  const auto in_use = [&] {
    return machine().frames().total_frames() - machine().frames().free_frames();
  };
  EXPECT_EQ(Stat("pgalloc_normal") - Stat("pgfree"), in_use());
  EXPECT_GE(Stat("pgalloc_normal"), 8u);
  EXPECT_LE(Stat("nr_free_pages"), machine().frames().free_frames());
  const uint64_t allocated = Stat("pgalloc_normal");
  const uint64_t freed = Stat("pgfree");
  (void)machine().ResetFaultStatistics();
  world().Drop(mm);
  Rcu::Barrier();
  EXPECT_EQ(Stat("pgfault"), 8u);
  EXPECT_EQ(Stat("pgalloc_normal"), allocated);
  EXPECT_GE(Stat("pgfree"), freed + 8);
  EXPECT_EQ(Stat("pgalloc_normal") - Stat("pgfree"), in_use());
  EXPECT_EQ(Stat("allocstall_normal"), 0u);
  EXPECT_EQ(Stat("vma_lock_success"), 0u);
}

TEST_F(MachineStatisticsTest, VmStatNamesAreDistinct) {
  std::vector<std::string_view> names;
  for (const VmStatValue& stat : VmStat(machine())) names.push_back(stat.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST_F(MachineStatisticsTest, AnMmKnowsItsTasksAndWhetherItIsDying) {
  Mm& other = world().NewMm();
  EXPECT_EQ(mm().attached_tasks(), 0u);
  mm().AttachTask(CurrentTask());
  EXPECT_EQ(mm().attached_tasks(), 1u);
  EXPECT_EQ(other.attached_tasks(), 0u);
  mm().DetachTask(CurrentTask());
  EXPECT_EQ(mm().attached_tasks(), 0u);
  EXPECT_FALSE(mm().is_dying());
  mm().Exit();
  EXPECT_TRUE(mm().is_dying());
  EXPECT_FALSE(other.is_dying());
}

// -- Options --------------------------------------------------------------------------------------

std::string Why(const MachineOptions& options) { return WhyRefused(options).value_or("allowed"); }

TEST(MachineOptionsTest, RefusalsNameFieldValueAndWhatIsAllowed) {
  EXPECT_EQ(Why(MachineOptions{}), "allowed");
  EXPECT_EQ(Why({.memory_bytes = 65535}),
            "memory_bytes: 65535 is out of range; allowed: 65536 to 140737488355328");
  EXPECT_EQ(Why({.memory_bytes = UINT64_MAX - 4095}),
            "memory_bytes: 18446744073709547520 is out of range; allowed: 65536 to "
            "140737488355328");
  EXPECT_EQ(Why({.object_bytes = 0}),
            "object_bytes: 0 is out of range; allowed: 1048576 to 140737488355328");
  EXPECT_EQ(Why({.cpus = 0}), "cpus: 0 is out of range; allowed: 1 to 256");
  EXPECT_EQ(Why({.cpus = 257}), "cpus: 257 is out of range; allowed: 1 to 256");
  EXPECT_EQ(Why({.contents = static_cast<PageContents>(7)}),
            "contents: 7 is no kind of contents; allowed: tag, bytes");
  EXPECT_EQ(Why({.watermark_scale = 0}), "watermark_scale: 0 is out of range; allowed: 1 to 3000");
  EXPECT_EQ(Why({.watermark_scale = 3001}),
            "watermark_scale: 3001 is out of range; allowed: 1 to 3000");
  EXPECT_EQ(Why({.memory_bytes = 1 << 20, .min_free_frames = 255}),
            "min_free_frames: 255 leaves no frame above the high watermark; allowed: 0 to 170 with "
            "watermark_scale 10 and 255 frames");
}

TEST(MachineOptionsTest, TheRangeGivenIsTheRangeTaken) {
  for (const uint32_t scale : {1u, 10u, 3000u}) {
    const MachineOptions fits{.memory_bytes = 1 << 20, .watermark_scale = scale};
    uint64_t most = 0;
    for (uint64_t min = 0; min < 300; ++min) {
      MachineOptions options = fits;
      options.min_free_frames = min;
      if (!WhyRefused(options).has_value()) most = std::max(most, min);
    }
    MachineOptions beyond = fits;
    beyond.min_free_frames = UINT64_MAX;
    EXPECT_NE(Why(beyond).find("0 to " + std::to_string(most) + " with"), std::string::npos)
        << Why(beyond);
  }
}

// -- Watermarks at run time -----------------------------------------------------------------------

TEST_F(MachineStatisticsTest, WatermarksChangeAtRunTime) {
  FrameAllocator& frames = machine().frames();
  ASSERT_FALSE(frames.watermarks().on());
  Map(0, 8);
  const uint64_t total = frames.total_frames();
  const uint64_t min = total / 2;
  ASSERT_TRUE(machine().SetWatermarks({.min_free_frames = min}).ok());
  EXPECT_EQ(frames.watermarks().min, min);
  EXPECT_EQ(frames.watermarks().low, min + min / 4);
  EXPECT_EQ(frames.watermark_options().min_free_frames, min);
  EXPECT_EQ(frames.watermark_options().watermark_scale, 10u);
  EXPECT_LE(frames.free_above_lists(), total);
  EXPECT_GT(frames.free_above_lists(), min);
  EXPECT_EQ(Writes(0), "ok");
  frames.Validate();

  EXPECT_EQ(Why(machine().SetWatermarks({.min_free_frames = total})), "EINVAL");
  EXPECT_EQ(Why(machine().SetWatermarks({.watermark_scale = 0})), "EINVAL");
  EXPECT_EQ(frames.watermarks().min, min) << "what is refused changes nothing";

  ASSERT_TRUE(machine().SetWatermarks({.min_free_frames = 0}).ok());
  EXPECT_FALSE(frames.watermarks().on());
  EXPECT_EQ(Writes(1), "ok");
  frames.Validate();
}

TEST_F(MachineStatisticsTest, AnAllocationMeetsTheMarksThatAreInForce) {
  FrameAllocator& frames = machine().frames();
  // All but a few frames are in use.
  std::vector<Folio*> taken;
  while (frames.free_frames() > 64) {
    taken.push_back(*frames.Allocate(FrameUse::kAnon, Gfp::kNowait));
  }
  const auto allocates = [&] {
    const Result<Folio*> folio = frames.Allocate(FrameUse::kAnon, Gfp::kNowait);
    if (folio.ok()) frames.Put(**folio);
    return folio.ok();
  };
  EXPECT_TRUE(allocates());
  ASSERT_TRUE(machine().SetWatermarks({.min_free_frames = 512}).ok());
  EXPECT_FALSE(allocates());
  ASSERT_TRUE(machine().SetWatermarks({}).ok());
  EXPECT_TRUE(allocates());
  for (Folio* const folio : taken) frames.Put(*folio);
}

}  // namespace
}  // namespace faultline
