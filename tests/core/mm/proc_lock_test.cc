// SPDX-License-Identifier: Apache-2.0
//
// What a reader of maps or smaps waits for and what it holds, on real threads, in each mode under
// schemes of each kind. Holds are counted by the lock statistics, waits asked of the kernel
// (test_thread.h), so nothing here depends on time.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>

#include "core/mm/mm_lock.h"
#include "core/mm/proc_query.h"
#include "core/mm/vma_edit.h"
#include "core/sync/lock_callers.h"
#include "core/sync/lock_stats.h"
#include "tests/core/mm/proc_fixture.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

using Case = std::tuple<SchemeName, ReadMode>;

/// Read holds by which maps were read since the statistics began.
struct Holds {
  uint64_t mmap_lock = 0;
  uint64_t vma_lock = 0;
  friend bool operator==(const Holds&, const Holds&) = default;
};
std::ostream& operator<<(std::ostream& out, const Holds& holds) {
  return out << holds.mmap_lock << " of mmap_lock, " << holds.vma_lock << " of VMAs";
}

class ProcLockTest : public testing::TestWithParam<Case> {
 protected:
  /// Three VMAs: pages 0 to 3, with a page of each of two PTE tables; 600 to 603; 700 to 703.
  ProcLockTest() {
    for (const auto& [page, pages] : {std::pair(0, 560u), std::pair(600, 4u), std::pair(700, 4u)}) {
      EXPECT_EQ(Why(mm_.Mmap(
                    {.addr = At(page), .length = Pages(pages), .prot = kRw, .flags = kAnonFixed})),
                "ok");
    }
    for (const int page : {0, 550, 600}) EXPECT_EQ(Why(mm_.Write(At(page), 7)), "ok");
  }
  ~ProcLockTest() override { SetLockStatsLevel(LockStatsLevel::kOff); }

  [[nodiscard]] static SchemeName Scheme() { return std::get<0>(GetParam()); }
  [[nodiscard]] static ReadMode Mode() { return std::get<1>(GetParam()); }
  /// Whether a reader gets by beside a holder of mmap_lock who changes other VMAs.
  [[nodiscard]] static bool GetsBy() {
    return Mode() == ReadMode::kRcu || (Mode() == ReadMode::kPerVma && HasVmaLock(Scheme()));
  }
  [[nodiscard]] std::string Maps() { return RangesOf(AllMaps(mm_, Mode())); }
  [[nodiscard]] std::string Rss() {
    std::string text;
    for (const SmapsRecord& record : AllSmaps(mm_, Mode())) {
      text += std::to_string(record.residency.rss / kPageSize) + " ";
    }
    return text;
  }
  [[nodiscard]] std::string Ask() {
    const Result<QueriedVma> answer = QueryVma(mm_, Mode(), At(600), query_flag::kShared);
    return Why(answer);
  }

  /// Has `read` done beside a writer who changes the VMA of page `marked`, if any, and expects it
  /// to wait for the writer or not, and its result to be `expected`.
  void Read(const std::function<std::string()>& read, const std::string& expected, bool waits,
            int64_t marked = -1) {
    std::string result;
    MmWriter writer(mm_);
    if (marked >= 0) writer.Mark(*VmaEditor(writer).FindFrom(At(marked)));
    TestThread reader([&] { result = read(); });
    if (waits) reader.AwaitParked();
    if (waits) writer.Release();
    reader.Join();
    EXPECT_EQ(result, expected);
  }
  [[nodiscard]] static Holds Count(const std::function<void()>& read) {
    ResetLockStats();
    SetLockStatsLevel(LockStatsLevel::kHolds);
    read();
    const LockStatsByCaller stats = SnapshotLockStatsByCaller();
    SetLockStatsLevel(LockStatsLevel::kOff);
    const auto of = [&](LockRank rank) {
      return stats.Of(rank, static_cast<uint16_t>(Activity::kReadMaps), LockMode::kShared).acquired;
    };
    return {.mmap_lock = of(LockRank::kMmapLock), .vma_lock = of(LockRank::kVmaLock)};
  }
  /// As many holds as a reading takes that holds each thing by itself: `vmas` looks in each of
  /// `pages` pages of the reading.
  [[nodiscard]] static Holds Expected(uint64_t pages, uint64_t looks) {
    if (Mode() == ReadMode::kWholeLock) return {.mmap_lock = pages, .vma_lock = 0};
    if (Mode() == ReadMode::kRcu) return {};
    return HasVmaLock(Scheme()) ? Holds{.mmap_lock = 0, .vma_lock = looks}
                                : Holds{.mmap_lock = looks, .vma_lock = 0};
  }

  MmWorld world_;
  Mm& mm_ = world_.NewMm({.fault = DefaultsOf(Scheme())});
  const std::string maps_ = "0-560 600-604 700-704";
  const std::string rss_ = "2 1 0 ";
};

TEST_P(ProcLockTest, MapsWaitForNoWriterElsewhereUnlessTheyTakeMmapLock) {
  Read([&] { return Maps(); }, maps_, !GetsBy());
}

TEST_P(ProcLockTest, SmapsWaitForNoWriterElsewhereUnlessTheyTakeMmapLock) {
  Read([&] { return Rss(); }, rss_, !GetsBy());
}

TEST_P(ProcLockTest, QuestionsWaitForNoWriterElsewhereUnlessTheyTakeMmapLock) {
  Read([&] { return Ask(); }, "ENOENT", !GetsBy());
}

TEST_P(ProcLockTest, AVmaThatIsBeingChangedIsWaitedForInEveryMode) {
  Read([&] { return Maps(); }, maps_, true, /*marked=*/600);
  Read([&] { return Rss(); }, rss_, true, /*marked=*/0);
}

TEST_P(ProcLockTest, MapsHoldOneVmaAtATime) {
  EXPECT_EQ(Count([&] { EXPECT_EQ(Maps(), maps_); }), Expected(1, 3));
}

TEST_P(ProcLockTest, SmapsHoldAVmaForOnePteTableAtATime) {
  // A look at each VMA, and one for each PTE table or what is left without one.
  EXPECT_EQ(Count([&] { EXPECT_EQ(Rss(), rss_); }), Expected(1, 3 + 2 + 1 + 1));
}

TEST_P(ProcLockTest, TheRollupHoldsAVmaForOnePteTableAtATime) {
  EXPECT_EQ(Count([&] { EXPECT_EQ(ReadSmapsRollup(mm_, Mode())->residency.rss, Pages(3)); }),
            Expected(1, 2 + 1 + 1));
}

TEST_P(ProcLockTest, HoldsThatWereNotAreNoTime) {
  const uint64_t held = ReadMaps(mm_, Mode(), VirtAddr(0), 10)->held_ns;
  const uint64_t smaps_held = ReadSmaps(mm_, Mode(), VirtAddr(0), 10)->held_ns;
  if (Mode() == ReadMode::kRcu) {
    EXPECT_EQ(held, 0u);
    EXPECT_EQ(smaps_held, 0u);
  }
}

TEST_P(ProcLockTest, AKillEndsTheWait) {
  std::string maps;
  std::string smaps;
  MmWriter writer(mm_);
  writer.Mark(*VmaEditor(writer).FindFrom(At(0)));
  TestThread reader([&] {
    Task& task = CurrentTask();
    maps = Why(ReadMaps(mm_, Mode(), VirtAddr(0), 10));
    smaps = Why(ReadSmaps(mm_, Mode(), VirtAddr(0), 10));
    task.ClearKill();
  });
  reader.AwaitParked();
  reader.task().Kill();
  reader.Join();
  EXPECT_EQ(maps, "EINTR");
  EXPECT_EQ(smaps, "EINTR");
}

INSTANTIATE_TEST_SUITE_P(
    Schemes, ProcLockTest,
    testing::Combine(testing::Values(SchemeName::kMmapLock, SchemeName::kVmaRwsem,
                                     SchemeName::kVmaLock, SchemeName::kVmaRefcnt,
                                     SchemeName::kSpfVmaSeq, SchemeName::kRcuRestart),
                     testing::ValuesIn(kAllReadModes)),
    [](const auto& test) {
      return std::string(Name(std::get<0>(test.param))) + "_" +
             std::string(NameOf(std::get<1>(test.param)));
    });

}  // namespace
}  // namespace faultline
