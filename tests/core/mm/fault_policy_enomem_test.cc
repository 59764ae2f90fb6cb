// SPDX-License-Identifier: Apache-2.0
//
// Every policy of table allocation under failing allocations, under every scheme (A1-A7, A13): cold
// faults of each kind with the nth table, page or small object refused, once and for ever, until
// none is left to refuse. A fault succeeds, or is out of memory because memory was refused to it
// while it could have slept: one table that could not be had without sleeping kills nobody (seed
// 001's objection to A6).
//
// After each: the mm is valid, a fault that failed left the page as it was, tables that were
// allocated are in the tree or counted as unused, and with memory the same fault succeeds.

#include <array>
#include <string>

#include "tests/core/mm/fault_ladder.h"
#include "tests/core/mm/fault_options_list.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint32_t SitesOf(FailSite site) { return 1u << static_cast<uint32_t>(site); }

/// A fault for which nothing is there yet that it needs.
struct Kind {
  std::string name;
  AccessKind access;
  enum class Memory : uint8_t { kAnon, kPrivateFile, kSharedFile } memory;
  /// Page 0 has been written, which gave the VMA its anon_vma; page 24, where the fault is, has
  /// other tables of each level.
  bool has_anon_vma = false;
  /// The fault is a child's, on page 0.
  bool is_copy = false;

  [[nodiscard]] int64_t page() const { return is_copy ? 0 : 24; }
};

const Kind kKinds[] = {
    {"AnonRead", AccessKind::kRead, Kind::Memory::kAnon},
    {"FirstAnonWrite", AccessKind::kWrite, Kind::Memory::kAnon},
    {"AnonWrite", AccessKind::kWrite, Kind::Memory::kAnon, true},
    {"FileRead", AccessKind::kRead, Kind::Memory::kPrivateFile},
    {"FirstPrivateWrite", AccessKind::kWrite, Kind::Memory::kPrivateFile},
    {"PrivateWrite", AccessKind::kWrite, Kind::Memory::kPrivateFile, true},
    {"SharedWrite", AccessKind::kWrite, Kind::Memory::kSharedFile},
    {"CopyAfterFork", AccessKind::kWrite, Kind::Memory::kAnon, true, true},
};

/// One mm, or two, with a file of its own, whose pages are not cached.
class Trial {
 public:
  Trial(MmWorld& world, const FaultOptions& options, const Kind& kind)
      : world_(world), kind_(kind), file_(*world.machine().CreateFile("file", Pages(48))) {
    static constexpr std::array kFlags = {kAnonFixed, kMapPrivate | kMapFixed,
                                          kMapShared | kMapFixed};
    const bool is_file = kind.memory != Kind::Memory::kAnon;
    mm_ = &world.NewMm({.fault = options});
    EXPECT_TRUE(mm_->Mmap({.addr = At(0),
                           .length = Pages(48),
                           .prot = kRw,
                           .flags = kFlags[static_cast<size_t>(kind.memory)],
                           .file = is_file ? file_ : nullptr,
                           .open_file = is_file ? 1u : 0u})
                    .ok());
    if (kind.has_anon_vma) {
      EXPECT_TRUE(mm_->Write(At(0), 7).ok());
    }
    if (kind.is_copy) mm_ = &world.Fork(*mm_);
  }
  ~Trial() {
    world_.DropAll();
    file_->Put();
    const FrameAllocator& frames = world_.machine().frames();
    if (frames.free_frames() < frames.total_frames() / 2) Rcu::Barrier();
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  [[nodiscard]] Mm& mm() { return *mm_; }
  [[nodiscard]] AccessOutcome Fault() {
    return mm_->Fault({.addr = At(kind_.page()), .access = kind_.access});
  }
  [[nodiscard]] std::string Page() {
    const PageView view = mm_->View(At(kind_.page()));
    return std::string(view.present ? "present " : "absent ") + std::to_string(view.word);
  }

 private:
  MmWorld& world_;
  const Kind& kind_;
  Mapping* const file_;
  Mm* mm_;
};

/// Whether the policy asks for tables without sleeping on the scheme's first rung.
bool TablesDoNotSleep(const FaultOptions& options) {
  switch (options.pgtable_alloc) {
    case TableAlloc::kEager:
    case TableAlloc::kPreallocAll:
    case TableAlloc::kPreallocMissing:
      return false;
    case TableAlloc::kRcuImpliesNowait:  // it does, where there is no RCU section
    default:
      return true;
  }
}
/// The same for pages.
bool PagesDoNotSleep(const FaultOptions& options) {
  return options.pgtable_alloc == TableAlloc::kTaskFlag ||
         options.scheme == SchemeName::kRcuRestart || options.scheme == SchemeName::kRcuContinue;
}

FaultRung FirstRungOf(SchemeName scheme) {
  switch (scheme) {
    case SchemeName::kMmapLock:
      return FaultRung::kMmapLock;
    case SchemeName::kVmaRwsem:
    case SchemeName::kVmaLock:
    case SchemeName::kVmaRefcnt:
      return FaultRung::kVmaLock;
    default:
      return FaultRung::kValidated;
  }
}

class FaultPolicyOutOfMemoryTest : public testing::TestWithParam<SchemeName> {
 protected:
  void TearDown() override { world_.End(); }

  /// One fault with its nth allocation at the site refused; false if it makes fewer.
  bool FailsAt(const FaultOptions& options, const Kind& kind, FailSite site, uint64_t nth,
               FailPoints::Mode mode) {
    Trial trial(world_, options, kind);
    Mm& mm = trial.mm();
    const int64_t tables = mm.counters().Sum(MmCounter::kTables);
    const std::string page = trial.Page();
    const FaultStatsSnapshot before = mm.fault_stats().Snapshot();
    FailPoints& points = world_.machine().fail_points();
    points.Arm(nth, mode, SitesOf(site));
    const AccessOutcome outcome = trial.Fault();
    const bool failed = points.failed() != 0;
    const auto refused = static_cast<int64_t>(points.failed());
    points.Disarm();

    const FaultStatsSnapshot after = mm.fault_stats().Snapshot();
    const std::string ladder = LadderBetween(before, after);
    EXPECT_EQ(after.Ended() - before.Ended(), 1) << ladder;
    const auto counted = [&](FaultCounter counter) {
      return after.Count(counter) - before.Count(counter);
    };
    EXPECT_EQ(mm.counters().Sum(MmCounter::kTables) - tables,
              counted(FaultCounter::kTablesAllocated) - counted(FaultCounter::kTablesUnused))
        << ladder;
    // In the modelled build a frame is a piece of the heap, too.
    if (!kModelled || site != FailSite::kHeap) {
      EXPECT_EQ(counted(FaultCounter::kTableFailures), site == FailSite::kTable ? refused : 0);
    }
    EXPECT_TRUE(outcome.ok() || (outcome.signal == 9 && failed)) << Why(outcome);
    if (!outcome.ok()) {
      EXPECT_EQ(trial.Page(), page) << ladder;
      CheckKill(options, site, mode, before, after);
      EXPECT_EQ(Why(trial.Fault()), "ok") << ladder;
    }
    EXPECT_TRUE(mm.View(At(kind.page())).present);
    mm.Validate();
    return failed;
  }

 private:
  /// A single refusal to who must not sleep leads to another try, there or below.
  static void CheckKill(const FaultOptions& options, FailSite site, FailPoints::Mode mode,
                        const FaultStatsSnapshot& before, const FaultStatsSnapshot& after) {
    if (mode == FailPoints::Mode::kForEver) return;
    const bool asked_nowait = site == FailSite::kTable
                                  ? TablesDoNotSleep(options)
                                  : site == FailSite::kFrame && PagesDoNotSleep(options);
    if (!asked_nowait) return;
    const FaultRung first = FirstRungOf(options.scheme);
    EXPECT_EQ(after.Succeeded(first), before.Succeeded(first)) << LadderBetween(before, after);
  }

  MmWorld world_;
};

TEST_P(FaultPolicyOutOfMemoryTest, AFaultSucceedsOrIsRefusedMemoryThatItCouldSleepFor) {
  uint64_t refusals = 0;
  for (FaultOptions options : SchemesByAlloc()) {
    if (options.scheme != GetParam()) continue;
    for (const PteTable pte : AllOf<PteTable>()) {
      options.pte_table = pte;
      for (const Kind& kind : kKinds) {
        for (const FailSite site : AllOf<FailSite>()) {
          for (const auto mode : {FailPoints::Mode::kOnce, FailPoints::Mode::kForEver}) {
            uint64_t nth = 1;
            while (!HasFailure()) {
              SCOPED_TRACE(TestNameOf(options) + " " + kind.name + " site " +
                           std::to_string(static_cast<int>(site)) + " allocation " +
                           std::to_string(nth) +
                           (mode == FailPoints::Mode::kOnce ? " once" : " for ever"));
              if (!FailsAt(options, kind, site, nth, mode)) break;
              ++nth;
            }
            refusals += nth - 1;
          }
        }
      }
    }
  }
  // Of each policy: at least a table of three levels for seven kinds, once and for ever.
  EXPECT_GE(refusals, 7u * 2 * 3 * 7 * 2);
}

INSTANTIATE_TEST_SUITE_P(Schemes, FaultPolicyOutOfMemoryTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

// -- Waste ----------------------------------------------------------------------------------------

class TableWasteTest : public testing::TestWithParam<SchemeName> {
 protected:
  /// "3 allocated, 1 unused, 0 failures" by one more fault after `prepare`.
  static std::string Waste(const FaultOptions& options, int64_t first, int64_t then) {
    MmWorld world;
    Mm& mm = world.NewMm({.fault = options});
    EXPECT_TRUE(
        mm.Mmap({.addr = At(0), .length = Pages(48), .prot = kRw, .flags = kAnonFixed}).ok());
    EXPECT_TRUE(mm.Write(At(first), 1).ok());
    mm.fault_stats().Reset();
    EXPECT_TRUE(mm.Fault({.addr = At(then), .access = AccessKind::kWrite}).ok());
    const FaultStatsSnapshot stats = mm.fault_stats().Snapshot();
    return std::to_string(stats.Count(FaultCounter::kTablesAllocated)) + " allocated, " +
           std::to_string(stats.Count(FaultCounter::kTablesUnused)) + " unused, " +
           std::to_string(stats.Count(FaultCounter::kTableFailures)) + " failures";
  }
};

TEST_P(TableWasteTest, OnlyAllocatingForEveryLevelThrowsTablesAway) {
  for (const FaultOptions& options : SchemesByAlloc()) {
    if (options.scheme != GetParam()) continue;
    SCOPED_TRACE(TestNameOf(options));
    const bool all = options.pgtable_alloc == TableAlloc::kPreallocAll;
    const bool is_spf =
        options.scheme == SchemeName::kSpfMmSeq || options.scheme == SchemeName::kSpfVmaSeq;
    // spf leaves upper tables to mmap_lock, so it allocates none ahead.
    const char* const wasted =
        is_spf ? "1 allocated, 1 unused, 0 failures" : "3 allocated, 3 unused, 0 failures";
    EXPECT_EQ(Waste(options, 0, 1), all ? wasted : "0 allocated, 0 unused, 0 failures");
    // Its PTE table, too, is thrown away if one above is missing.
    EXPECT_EQ(Waste(options, 0, 30), all && is_spf ? "4 allocated, 1 unused, 0 failures"
                                                   : "3 allocated, 0 unused, 0 failures");
  }
}

INSTANTIATE_TEST_SUITE_P(Schemes, TableWasteTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
