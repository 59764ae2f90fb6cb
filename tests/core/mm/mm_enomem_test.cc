// SPDX-License-Identifier: Apache-2.0
//
// Every operation with every one of its allocations failing, once and from then on. Afterwards the
// mm is valid, and memory as a program sees it is what it was, or what the operation makes of it,
// or between the two in the way that the case's Progress allows. At the end nothing has leaked.
//
// Under one locking scheme of each kind: who may not sleep fails where others do not, and goes on.
//
// Linux leaves the same: what fails half-way has done whole VMAs from the lowest address on, and
// splits, which a program cannot see.

#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/core/mm/page_state.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

/// What may be left of an operation that failed.
enum class Progress : uint8_t {
  kNothing,       ///< all or nothing
  kVmas,          ///< whole VMAs from the lowest on: mprotect, madvise's flags, mseal
  kVmasOrAll,     ///< the same, or all: mlock and stacks grow, then fail to fault in
  kVmasOrTables,  ///< up to a VMA's or a page table's end: guard markers
  kAnyVmas,       ///< each VMA changed or not, and success: mlockall passes over what fails
  kMove,          ///< mremap: see CheckMove
};

/// One mm in one run of an operation.
struct Trial {
  MmWorld& world;
  Mm& mm;
  Mapping& file;

  void Map(int64_t page, uint64_t pages, uint64_t prot = kRw, uint64_t flags = kAnonFixed) {
    EXPECT_EQ(Mmap(page, pages, prot, flags), "ok");
  }
  std::string Mmap(int64_t page, uint64_t pages, uint64_t prot = kRw, uint64_t flags = kAnonFixed) {
    const bool is_file = (flags & kMapAnonymous) == 0;
    return Why(mm.Mmap({.addr = At(page),
                        .length = Pages(pages),
                        .prot = prot,
                        .flags = flags,
                        .file = is_file ? &file : nullptr,
                        .open_file = is_file ? 1u : 0u}));
  }
  void Fill(int64_t page, int64_t pages) {
    for (int64_t i = page; i < page + pages; ++i) {
      EXPECT_EQ(Why(mm.Write(At(i), 7000 + static_cast<uint64_t>(i))), "ok");
    }
  }
};

struct Case {
  std::string name;
  void (*prepare)(Trial&);
  std::function<std::string(Trial&)> run;  ///< "ok", or the error
  Progress progress = Progress::kNothing;
  std::string error = "ENOMEM";
  uint64_t least = 1;  ///< allocations that it makes, at least
  /// Of kMove: pages [from, from + pages) to `to`; `keeps` with DONTUNMAP.
  int64_t from = 0;
  int64_t pages = 0;
  int64_t to = 0;
  bool keeps = false;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

/// VMAs of all kinds, with pages, on both sides of the 2 MiB boundary at page 24.
void Mixed(Trial& t) {
  t.Map(0, 8);
  t.Fill(0, 8);
  t.Map(8, 4, kRw);
  t.Fill(8, 4);
  EXPECT_EQ(Why(t.mm.Mprotect(At(8), Pages(4), kR)), "ok");
  t.Map(12, 6, kRw, kSharedAnonFixed);
  t.Fill(12, 6);
  t.Map(18, 10, kRw, kMapPrivate | kMapFixed);
  t.Fill(20, 6);
  t.Map(28, 8);
  t.Fill(30, 2);
}
void MixedLocked(Trial& t) {
  Mixed(t);
  EXPECT_EQ(Why(t.mm.Mlockall(kMclCurrent)), "ok");
}
void Nothing(Trial&) {}
void OneVma(Trial& t) {
  t.Map(10, 30);
  t.Fill(10, 30);
}
/// 0-4 and 8-12 with pages of their own, and a place between them.
void TwoWithAGap(Trial& t) {
  t.Map(0, 4);
  t.Map(8, 4);
  t.Fill(8, 4);
}
void ThreeParts(Trial& t) {
  OneVma(t);
  EXPECT_EQ(Why(t.mm.Mprotect(At(20), Pages(8), kR)), "ok");
}
void Blocked(Trial& t) {
  OneVma(t);
  t.Map(40, 4, kR);
}
void MixedWithTarget(Trial& t) {
  Mixed(t);
  t.Map(1030, 20, kR);
}
void OneVmaWithTarget(Trial& t) {
  OneVma(t);
  t.Map(1030, 40, kR);
}
void Heap(Trial& t) { EXPECT_TRUE(t.mm.Brk(VirtAddr(0x5555'5555'a000 + Pages(4))).ok()); }
void Stack(Trial& t) {
  t.Map(100, 4, kRw, kAnonFixed | kMapGrowsDown);
  t.Fill(102, 1);
}
void Unfaulted(Trial& t) { t.Map(0, 4); }
void SharedWithAChild(Trial& t) {
  OneVma(t);
  t.world.Fork(t.mm);
}

std::string BrkTo(Trial& t, uint64_t pages) {
  const VirtAddr wanted(0x5555'5555'a000 + Pages(pages));
  return *t.mm.Brk(wanted) == wanted ? "ok" : "ENOMEM";
}

std::string ForkIt(Trial& t) {
  const Result<Mm*> child = t.mm.Fork();
  if (!child.ok()) return Why(child);
  t.world.machine().fail_points().Disarm();
  t.world.Adopt(**child);
  EXPECT_EQ(StateOf(**child), StateOf(t.mm));
  return "ok";
}

Case Advice(const std::string& name, int advice, Progress progress, const std::string& error,
            uint64_t least) {
  return {.name = "Madvise" + name,
          .prepare = Mixed,
          .run = [advice](Trial& t) { return Why(t.mm.Madvise(At(2), Pages(30), advice)); },
          .progress = progress,
          .error = error,
          .least = least};
}

std::vector<Case> MmapCases() {
  return {
      {"MmapFirst", Nothing, [](Trial& t) { return t.Mmap(0, 50); }},
      {"MmapOverVmas", Mixed, [](Trial& t) { return t.Mmap(4, 28); }, Progress::kNothing, "ENOMEM",
       5},
      {"MmapFileOverVmas", Mixed,
       [](Trial& t) { return t.Mmap(4, 28, kR, kMapShared | kMapFixed); }},
      {"MmapMergesBothSides", TwoWithAGap, [](Trial& t) { return t.Mmap(4, 4); }},
      {"MmapShared", Mixed, [](Trial& t) { return t.Mmap(4, 28, kRw, kSharedAnonFixed); }},
      // What cannot be populated is not: no error.
      {"MmapPopulate", Nothing,
       [](Trial& t) { return t.Mmap(20, 8, kRw, kAnonFixed | kMapPopulate); }, Progress::kNothing,
       "ENOMEM", 12},
      {"MmapSharedPopulate", Nothing,
       [](Trial& t) { return t.Mmap(20, 8, kRw, kSharedAnonFixed | kMapPopulate); }},
  };
}

std::vector<Case> ShapeCases() {
  return {
      {"MunmapMiddle", OneVma, [](Trial& t) { return Why(t.mm.Munmap(At(20), Pages(8))); },
       Progress::kNothing, "ENOMEM", 3},
      {"MunmapVmas", Mixed, [](Trial& t) { return Why(t.mm.Munmap(At(2), Pages(30))); }},
      {"MprotectMiddle", OneVma, [](Trial& t) { return Why(t.mm.Mprotect(At(20), Pages(8), kR)); },
       Progress::kVmas, "ENOMEM", 4},
      {"MprotectVmas", Mixed, [](Trial& t) { return Why(t.mm.Mprotect(At(2), Pages(30), kNone)); },
       Progress::kVmas, "ENOMEM", 4},
      {"MprotectBack", ThreeParts,
       [](Trial& t) { return Why(t.mm.Mprotect(At(20), Pages(8), kRw)); }, Progress::kVmas},
      {"Mseal", Mixed, [](Trial& t) { return Why(t.mm.Mseal(At(2), Pages(30), 0)); },
       Progress::kVmas, "ENOMEM", 4},
      {"BrkFirst", Nothing, [](Trial& t) { return BrkTo(t, 4); }},
      {"BrkGrow", Heap, [](Trial& t) { return BrkTo(t, 9); }},
      {"BrkShrink", Heap, [](Trial& t) { return BrkTo(t, 1); }},
      {"Fork", Mixed, ForkIt, Progress::kNothing, "ENOMEM", 20},
      {"StackGrowth", Stack, [](Trial& t) { return Why(t.mm.Write(At(90), 0)); },
       Progress::kVmasOrAll, "SEGV_MAPERR or signal 9"},
      {"WriteFault", Unfaulted, [](Trial& t) { return Why(t.mm.Write(At(2), 0)); },
       Progress::kNothing, "signal 9", 6},
      {"ReadFault", Unfaulted, [](Trial& t) { return Why(t.mm.Touch(At(2), AccessKind::kRead)); },
       Progress::kNothing, "signal 9", 3},
      {"CowFault", SharedWithAChild, [](Trial& t) { return Why(t.mm.Write(At(12), 7012)); },
       Progress::kNothing, "signal 9"},
  };
}

std::vector<Case> LockCases() {
  const auto lock_all = [](Trial& t) { return Why(t.mm.Mlockall(kMclCurrent)); };
  return {
      {"Mlock", Mixed, [](Trial& t) { return Why(t.mm.Mlock(At(2), Pages(30))); },
       Progress::kVmasOrAll, "ENOMEM or EAGAIN", 6},
      {"Mlock2", Mixed, [](Trial& t) { return Why(t.mm.Mlock2(At(2), Pages(30), kMlockOnFault)); },
       Progress::kVmasOrAll, "ENOMEM or EAGAIN", 4},
      {"Mlockall", Mixed, lock_all, Progress::kAnyVmas},
      {"Munlock", MixedLocked, [](Trial& t) { return Why(t.mm.Munlock(At(2), Pages(30))); },
       Progress::kVmas},
  };
}

std::vector<Case> AdviceCases() {
  return {
      Advice("Random", kMadvRandom, Progress::kVmas, "EAGAIN", 4),
      Advice("Sequential", kMadvSequential, Progress::kVmas, "EAGAIN", 4),
      Advice("DontFork", kMadvDontFork, Progress::kVmas, "EAGAIN", 4),
      Advice("DontDump", kMadvDontDump, Progress::kVmas, "EAGAIN", 4),
      Advice("HugePage", kMadvHugePage, Progress::kVmas, "EAGAIN", 4),
      Advice("NoHugePage", kMadvNoHugePage, Progress::kVmas, "EAGAIN", 4),
      {"MadviseWipeOnFork", OneVma,
       [](Trial& t) { return Why(t.mm.Madvise(At(20), Pages(8), kMadvWipeOnFork)); },
       Progress::kVmas, "EAGAIN", 4},
      Advice("DontNeed", kMadvDontNeed, Progress::kNothing, "none", 0),
      Advice("DontNeedLocked", kMadvDontNeedLocked, Progress::kNothing, "none", 0),
      {"MadviseFree", OneVma,
       [](Trial& t) { return Why(t.mm.Madvise(At(20), Pages(8), kMadvFree)); }, Progress::kNothing,
       "none", 0},
      Advice("Cold", kMadvCold, Progress::kNothing, "none", 0),
      {"MadviseGuardInstall", Unfaulted,
       [](Trial& t) { return Why(t.mm.Madvise(At(1), Pages(2), kMadvGuardInstall)); },
       Progress::kVmasOrTables, "ENOMEM", 4},
      {"MadviseGuardInstallInTwoTables", [](Trial& t) { t.Map(10, 30); },
       [](Trial& t) { return Why(t.mm.Madvise(At(12), Pages(20), kMadvGuardInstall)); },
       Progress::kVmasOrTables, "ENOMEM", 4},
      Advice("GuardRemove", kMadvGuardRemove, Progress::kNothing, "none", 0),
      {"MadvisePopulateRead", Unfaulted,
       [](Trial& t) { return Why(t.mm.Madvise(At(0), Pages(4), kMadvPopulateRead)); }},
      {"MadvisePopulateWrite", Unfaulted,
       [](Trial& t) { return Why(t.mm.Madvise(At(0), Pages(4), kMadvPopulateWrite)); },
       Progress::kNothing, "ENOMEM", 8},
  };
}

/// Targets lie across page 1048, where a page table ends: a move may fail half-way.
std::vector<Case> MremapCases() {
  constexpr uint64_t kTo = kMremapMayMove | kMremapFixed;
  return {
      {"MremapShrink", OneVma,
       [](Trial& t) { return Why(t.mm.Mremap(At(10), Pages(30), Pages(10), 0, At(0))); }},
      {"MremapGrowInPlace", OneVma,
       [](Trial& t) { return Why(t.mm.Mremap(At(10), Pages(30), Pages(50), 0, At(0))); }},
      {.name = "MremapGrowElsewhere",
       .prepare = Blocked,
       .run =
           [](Trial& t) { return Why(t.mm.Mremap(At(10), Pages(30), Pages(40), kTo, At(1035))); },
       .progress = Progress::kMove,
       .least = 3,
       .from = 10,
       .pages = 30,
       .to = 1035},
      {.name = "MremapOverAMapping",
       .prepare = OneVmaWithTarget,
       .run =
           [](Trial& t) { return Why(t.mm.Mremap(At(10), Pages(30), Pages(30), kTo, At(1035))); },
       .progress = Progress::kMove,
       .least = 5,
       .from = 10,
       .pages = 30,
       .to = 1035},
      {.name = "MremapAPart",
       .prepare = OneVma,
       .run = [](Trial& t) { return Why(t.mm.Mremap(At(20), Pages(10), Pages(10), kTo, At(524))); },
       .progress = Progress::kMove,
       .least = 5,
       .from = 20,
       .pages = 10,
       .to = 524},
      // The target joins a neighbour: taking it back then needs a split.
      {.name = "MremapBesideANeighbour",
       .prepare =
           [](Trial& t) {
             t.Map(10, 30);
             t.Map(1018, 7);
             t.Fill(10, 30);
           },
       .run =
           [](Trial& t) { return Why(t.mm.Mremap(At(10), Pages(30), Pages(30), kTo, At(1025))); },
       .progress = Progress::kMove,
       .least = 2,
       .from = 10,
       .pages = 30,
       .to = 1025},
      {.name = "MremapSeveral",
       .prepare = MixedWithTarget,
       .run = [](Trial& t) { return Why(t.mm.Mremap(At(2), Pages(30), Pages(30), kTo, At(1035))); },
       .progress = Progress::kMove,
       .least = 10,
       .from = 2,
       .pages = 30,
       .to = 1035},
      {.name = "MremapDontUnmap",
       .prepare = OneVma,
       .run =
           [](Trial& t) {
             return Why(
                 t.mm.Mremap(At(10), Pages(30), Pages(30), kTo | kMremapDontUnmap, At(1035)));
           },
       .progress = Progress::kMove,
       .least = 3,
       .from = 10,
       .pages = 30,
       .to = 1035,
       .keeps = true},
  };
}

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const auto& some : {MmapCases(), ShapeCases(), LockCases(), AdviceCases(), MremapCases()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

class MmOutOfMemoryTest : public testing::TestWithParam<std::tuple<SchemeName, Case>> {
 protected:
  [[nodiscard]] static const Case& operation() { return std::get<Case>(GetParam()); }
  /// Of the scheme that the operation runs under.
  Mm& NewMm() {
    const SchemeName scheme = std::get<SchemeName>(GetParam());
    return world_.NewMm({.fault = DefaultsOf(scheme), .extra_duties = kExtraDuties});
  }

  MmOutOfMemoryTest() : file_(world_.NewFile(16)) {
    before_ = StateAfter([](Trial&) { return "ok"; });
    after_ = StateAfter(operation().run);
  }
  void TearDown() override { world_.End(); }

  /// One run with the nth allocation failing; false if it makes fewer.
  bool FailsAt(uint64_t nth, FailPoints::Mode mode) {
    SCOPED_TRACE("allocation " + std::to_string(nth) +
                 (mode == FailPoints::Mode::kOnce ? " once" : " for ever"));
    Trial trial{world_, NewMm(), file_};
    operation().prepare(trial);
    const std::set<int64_t> boundaries = BoundariesOf(trial.mm);
    FailPoints& points = world_.machine().fail_points();
    points.Arm(nth, mode);
    const std::string result = operation().run(trial);
    const bool failed = points.failed() != 0;
    points.Disarm();
    trial.mm.Validate();
    const MemoryState now = StateOf(trial.mm);
    if (operation().progress == Progress::kMove) {
      CheckMove(result, now, boundaries);
    } else {
      CheckProgress(result, now, boundaries);
    }
    if (result != "ok") {
      EXPECT_TRUE(failed) << result;
      EXPECT_NE(operation().error.find(result), std::string::npos) << result;
    }
    Forget();
    return failed;
  }

 private:
  MemoryState StateAfter(const std::function<std::string(Trial&)>& run) {
    Trial trial{world_, NewMm(), file_};
    operation().prepare(trial);
    EXPECT_EQ(run(trial), "ok");
    const MemoryState state = StateOf(trial.mm);
    Forget();
    return state;
  }
  /// Drops all mms. Frames come back with the grace periods, which may take their time.
  void Forget() {
    world_.DropAll();
    const FrameAllocator& frames = world_.machine().frames();
    if (frames.free_frames() < frames.total_frames() / 2) Rcu::Barrier();
  }

  void CheckProgress(const std::string& result, const MemoryState& now,
                     const std::set<int64_t>& boundaries) const {
    const Progress progress = operation().progress;
    // Changed pages end at `end`: the first one that is as it was and should not be.
    int64_t end = INT64_MAX;
    bool in_order = true;
    for (const int64_t page : PagesOfBoth(before_, after_)) {
      if (SameAt(before_, after_, page)) {
        EXPECT_TRUE(SameAt(now, before_, page)) << "page " << page << " has nothing to do with it";
      } else if (SameAt(now, before_, page)) {
        end = std::min(end, page);
      } else {
        EXPECT_TRUE(SameAt(now, after_, page)) << "page " << page << " is neither old nor new";
        in_order = in_order && end == INT64_MAX;
      }
    }
    EXPECT_EQ(PagesOfBoth(now, before_).size() > PagesOfBoth(after_, before_).size(), false);
    if (progress == Progress::kAnyVmas) {
      EXPECT_EQ(result, "ok");
      return;
    }
    if (result == "ok") {
      EXPECT_EQ(now, after_);
      return;
    }
    EXPECT_TRUE(in_order) << "a gap in what was done";
    switch (progress) {
      case Progress::kNothing:
        EXPECT_EQ(now, before_);
        break;
      case Progress::kVmas:
      case Progress::kVmasOrTables: {
        const bool at_table = progress == Progress::kVmasOrTables && end == 24;
        EXPECT_TRUE(now == before_ || boundaries.contains(end) || at_table) << "ends at " << end;
        break;
      }
      default:
        EXPECT_TRUE(now == before_ || now == after_ || boundaries.contains(end))
            << "ends at " << end;
    }
  }

  /// Of a page that moves either the old place or the new one has what it held. A VMA moves whole,
  /// the lowest one first. Left over may be: a target that was cleared for the move, or that is
  /// mapped and empty since taking it back would have needed memory; a source that is mapped and
  /// empty for the same reason.
  void CheckMove(const std::string& result, const MemoryState& now,
                 const std::set<int64_t>& boundaries) const {
    const Case& c = operation();
    bool moved = true;
    for (int64_t from = c.from; from < c.from + c.pages; ++from) {
      const int64_t to = from - c.from + c.to;
      if (from == c.from || boundaries.contains(from)) moved = moved && SameAt(now, after_, to);
      EXPECT_TRUE(moved || result != "ok") << "page " << from << " stayed";
      if (moved) {
        EXPECT_TRUE(SameAt(now, after_, to)) << "page " << from << " did not arrive";
        EXPECT_TRUE(SameAt(now, after_, from) || IsEmptied(now, from)) << "page " << from;
      } else {
        EXPECT_TRUE(SameAt(now, before_, from)) << "page " << from << " did not come back";
        const PageState* const target = PageIn(now, to);
        EXPECT_TRUE(SameAt(now, before_, to) || target == nullptr || IsLeftOver(now, to))
            << "target " << to;
      }
    }
    for (const int64_t page : PagesOfBoth(before_, now)) {
      const bool is_source = page >= c.from && page < c.from + c.pages;
      const bool is_target = page >= c.to && page < c.to + 2 * c.pages;
      if (is_source || is_target) continue;
      EXPECT_TRUE(SameAt(now, before_, page)) << "page " << page << " has nothing to do with it";
    }
  }
  /// A source that is still mapped, without what it held, but for what it shares with its object.
  [[nodiscard]] bool IsEmptied(const MemoryState& now, int64_t page) const {
    const PageState* const is = PageIn(now, page);
    const PageState* const was = PageIn(before_, page);
    if (is == nullptr || was == nullptr || is->flags != was->flags) return false;
    const bool of_file = is->word >= 1000 && is->word < 1016;
    return is->word == 0 || of_file || (is->flags & vma_flag::kMayShare) != 0;
  }
  /// A target that is mapped, without what it should have got.
  [[nodiscard]] bool IsLeftOver(const MemoryState& now, int64_t page) const {
    const PageState* const is = PageIn(now, page);
    const PageState* const should = PageIn(after_, page);
    return is != nullptr && should != nullptr && is->flags == should->flags && is->word == 0;
  }

  MmWorld world_;
  Mapping& file_;
  MemoryState before_;
  MemoryState after_;
};

TEST_P(MmOutOfMemoryTest, LeavesWhatItFoundOrWholeSteps) {
  for (const auto mode : {FailPoints::Mode::kOnce, FailPoints::Mode::kForEver}) {
    uint64_t nth = 1;
    while (FailsAt(nth, mode) && !HasFailure()) ++nth;
    EXPECT_GE(nth - 1, operation().least);
  }
}

/// One scheme of each kind: faults under mmap_lock, under a lock of the VMA, and without.
INSTANTIATE_TEST_SUITE_P(Operations, MmOutOfMemoryTest,
                         testing::Combine(testing::Values(SchemeName::kMmapLock,
                                                          SchemeName::kVmaRefcnt,
                                                          SchemeName::kRcuContinue),
                                          testing::ValuesIn(AllCases())),
                         [](const auto& test) {
                           return std::string(Name(std::get<SchemeName>(test.param))) + "_" +
                                  std::get<Case>(test.param).name;
                         });

}  // namespace
}  // namespace faultline
