// SPDX-License-Identifier: Apache-2.0
//
// Faults of one task under every locking scheme: on which rung each kind ends and why it left the
// ones above (S10, B17, B28; BEHAVIOURS section 1.5), told by the mm's statistics and by the record
// of the fault itself. And that a program cannot tell schemes and policies apart: one script of
// faults and operations has the same outcome under every combination that there is.
//
// In all of this every fault ends on exactly one rung.

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/sync/lock_stats.h"
#include "tests/core/mm/fault_ladder.h"
#include "tests/core/mm/fault_options_list.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr auto kRead = AccessKind::kRead;
constexpr auto kWrite = AccessKind::kWrite;
constexpr auto kExec = AccessKind::kExec;

/// One machine with a file, for one mm after the other.
struct SchemeMachine {
  ~SchemeMachine() { world.End(); }

  static constexpr uint64_t kFilePages = 6;

  MmWorld world;
  Mapping* const file = &world.NewFile(kFilePages);
};

/// An mm with the options under test; `mm` is a fork's child if the case made one. One at a time:
/// it drops all mms of its machine.
struct SchemeWorld {
  SchemeWorld(SchemeMachine& machine, const FaultOptions& options,
              uint64_t fault_around_bytes = kPageSize, uint64_t first_sequence = 0)
      : world(machine.world),
        file(machine.file),
        mm(&world.NewMm({.fault = options,
                         .extra_duties = kExtraDuties,
                         .first_sequence = first_sequence,
                         .fault_around_bytes = fault_around_bytes})) {}
  ~SchemeWorld() {
    world.DropAll();
    // Frames come back with the grace periods.
    const FrameAllocator& frames = world.machine().frames();
    if (frames.free_frames() < frames.total_frames() / 2) Rcu::Barrier();
  }
  SchemeWorld(const SchemeWorld&) = delete;
  SchemeWorld& operator=(const SchemeWorld&) = delete;

  void Map(int64_t page, uint64_t pages, uint64_t prot = kRw, uint64_t flags = kAnonFixed) const {
    const bool is_file = (flags & kMapAnonymous) == 0;
    ASSERT_EQ(Why(mm->Mmap({.addr = At(page),
                            .length = Pages(pages),
                            .prot = prot,
                            .flags = flags,
                            .file = is_file ? file : nullptr,
                            .open_file = is_file ? 1u : 0u})),
              "ok");
  }
  /// The tables for the first pages, by a mapping that goes again.
  void MakeTables() const {
    Map(20, 1);
    ASSERT_EQ(Why(mm->Touch(At(20), kRead)), "ok");
    Map(22, 1);  // keeps them
    ASSERT_EQ(Why(mm->Touch(At(22), kRead)), "ok");
    ASSERT_EQ(Why(mm->Munmap(At(20), Pages(1))), "ok");
  }
  [[nodiscard]] std::string Fault(int64_t page, AccessKind access,
                                  FaultMode mode = FaultMode::kUser) const {
    return Why(mm->Fault({.addr = At(page), .access = access, .mode = mode}));
  }

  MmWorld& world;
  Mapping* const file;
  Mm* mm;
};

// -- Rungs and reasons ----------------------------------------------------------------------------

const std::string kMmap = "mmap_lock";
const std::string kVma = "vma_lock";
const std::string kTop = "validated";

/// "validated no_anon_vma, mmap_lock"
std::string Then(const std::string& rung, const std::string& reason, const std::string& below) {
  return rung + " " + reason + ", " + below;
}

/// What is expected of schemes that take the same way.
struct Ways {
  std::string mmap_lock = kMmap;
  std::string vma = kVma;  ///< vma_rwsem, vma_lock, vma_refcnt
  std::string spf_mm = kTop;
  std::string spf_vma = kTop;
  std::string rcu = kTop;  ///< rcu_restart, rcu_continue

  [[nodiscard]] const std::string& Of(SchemeName scheme) const {
    switch (scheme) {
      case SchemeName::kMmapLock:
        return mmap_lock;
      case SchemeName::kSpfMmSeq:
        return spf_mm;
      case SchemeName::kSpfVmaSeq:
        return spf_vma;
      case SchemeName::kRcuRestart:
      case SchemeName::kRcuContinue:
        return rcu;
      default:
        return vma;
    }
  }
};

/// Both spf schemes leave the top rung for that reason.
Ways SpfLeaves(const std::string& reason) {
  const std::string way = Then(kTop, reason, kMmap);
  return {.spf_mm = way, .spf_vma = way};
}
/// All that validate leave the top rung for that reason; rcu_* take the VMA's count then.
Ways ValidatedLeave(const std::string& reason) {
  Ways ways = SpfLeaves(reason);
  ways.rcu = Then(kTop, reason, kVma);
  return ways;
}
/// Nobody gets onto any rung but the last.
Ways AllGoToMmapLock(const std::string& reason) {
  Ways ways = SpfLeaves(reason);
  ways.rcu = ways.spf_mm;
  ways.vma = Then(kVma, reason, kMmap);
  return ways;
}

struct Case {
  std::string name;
  std::function<void(SchemeWorld&)> prepare;
  int64_t page;
  AccessKind access;
  std::string outcome;
  Ways ways;
  FaultMode mode = FaultMode::kUser;
};

void AnonWithoutTables(SchemeWorld& w) { w.Map(0, 8); }
void Anon(SchemeWorld& w) {
  w.MakeTables();
  w.Map(0, 8);
}
/// Page 0 is written, hence the VMA has an anon_vma.
void AnonInUse(SchemeWorld& w) {
  Anon(w);
  ASSERT_EQ(w.Fault(0, kWrite), "ok");
}
void PrivateFile(SchemeWorld& w) {
  w.MakeTables();
  w.Map(0, 8, kRw, kMapPrivate | kMapFixed);
}
void PrivateFileInUse(SchemeWorld& w) {
  PrivateFile(w);
  ASSERT_EQ(w.Fault(0, kWrite), "ok");
}
void SharedFile(SchemeWorld& w) {
  w.MakeTables();
  w.Map(0, 8, kRw, kMapShared | kMapFixed);
}
void Forked(SchemeWorld& w) {
  AnonInUse(w);
  w.mm = &w.world.Fork(*w.mm);
}
void Guarded(SchemeWorld& w) {
  Anon(w);
  ASSERT_EQ(Why(w.mm->Madvise(At(0), Pages(2), kMadvGuardInstall)), "ok");
}
void ReadOnly(SchemeWorld& w) {
  w.MakeTables();
  w.Map(0, 8, kR);
}
void Stack(SchemeWorld& w) {
  w.MakeTables();
  w.Map(8, 2, kRw, kAnonFixed | kMapGrowsDown);
}

const Case kCases[] = {
    {"AnonRead", Anon, 1, kRead, "ok", {}},
    {"AnonReadWithoutTables", AnonWithoutTables, 1, kRead, "ok", SpfLeaves("no_upper_table")},
    {"FirstAnonWrite", Anon, 1, kWrite, "ok", ValidatedLeave("no_anon_vma")},
    {"AnonWrite", AnonInUse, 1, kWrite, "ok", {}},
    {"WriteToAWrittenPage", AnonInUse, 0, kWrite, "ok", {}},
    {"ReadOfAWrittenPage", AnonInUse, 0, kRead, "ok", {}},
    {"CopyAfterFork", Forked, 0, kWrite, "ok", {}},
    {"FileRead", PrivateFile, 1, kRead, "ok", {.spf_vma = Then(kTop, "refused", kMmap)}},
    {"FileExecRefused", PrivateFile, 1, kExec, "SEGV_ACCERR", {}},
    {"FirstFilePrivateWrite", PrivateFile, 1, kWrite, "ok", ValidatedLeave("no_anon_vma")},
    {"FilePrivateWrite",
     PrivateFileInUse,
     1,
     kWrite,
     "ok",
     {.spf_vma = Then(kTop, "refused", kMmap)}},
    {"FileSharedRead", SharedFile, 1, kRead, "ok", {.spf_vma = Then(kTop, "refused", kMmap)}},
    {"FileSharedWrite", SharedFile, 1, kWrite, "ok", SpfLeaves("refused")},
    {"BehindTheEndOfTheFile", SharedFile, 7, kRead, "SIGBUS 2", {}},
    {"WriteBehindTheEndOfTheFile", SharedFile, 7, kWrite, "SIGBUS 2", {}},
    {"GuardPage", Guarded, 1, kRead, "SEGV_MAPERR", {}},
    {"WriteToReadOnly", ReadOnly, 1, kWrite, "SEGV_ACCERR", {}},
    {"ExecOfReadOnly", ReadOnly, 1, kExec, "SEGV_ACCERR", {}},
    {"NothingMapped", Anon, 9, kRead, "SEGV_MAPERR", AllGoToMmapLock("no_vma")},
    {"StackGrowth", Stack, 3, kWrite, "ok", AllGoToMmapLock("no_vma")},
    {"KernelMode", AnonInUse, 1, kWrite, "ok", AllGoToMmapLock("kernel_mode"), FaultMode::kKernel},
    {"KernelModeNothingMapped", Anon, 9, kRead, "SEGV_MAPERR", AllGoToMmapLock("kernel_mode"),
     FaultMode::kKernel},
};

class FaultLadderTest : public testing::TestWithParam<SchemeName> {
 protected:
  void Check(const Case& c) {
    SchemeWorld w(machine_, DefaultsOf(GetParam()));
    c.prepare(w);
    ASSERT_FALSE(HasFatalFailure());
    FaultEventRing ring(4);
    const FaultStatsSnapshot before = w.mm->fault_stats().Snapshot();
    std::string outcome;
    {
      const FaultRecording recording(&ring);
      outcome = w.Fault(c.page, c.access, c.mode);
    }
    const FaultStatsSnapshot after = w.mm->fault_stats().Snapshot();
    EXPECT_EQ(outcome, c.outcome);
    EXPECT_EQ(LadderBetween(before, after), c.ways.Of(GetParam()));
    EXPECT_EQ(after.Ended() - before.Ended(), 1);
    EXPECT_EQ(after.Count(FaultCounter::kVmaLockMiss), 0);

    const auto events = ring.Take().records;
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(LadderOf(events[0]), c.ways.Of(GetParam()));
    EXPECT_EQ(events[0].address, At(c.page));
    EXPECT_EQ(events[0].access, static_cast<uint8_t>(c.access));
    EXPECT_FALSE(events[0].waited());
  }

 private:
  SchemeMachine machine_;
};

TEST_P(FaultLadderTest, EachFaultEndsOnTheRungThatTheSchemeSaysForTheReasonThatItGives) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Check(c);
  }
}

INSTANTIATE_TEST_SUITE_P(Schemes, FaultLadderTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

// -- The record of a fault below a stack ----------------------------------------------------------

class StackGrowthEventTest : public testing::TestWithParam<SchemeName> {
 protected:
  StackGrowthEventTest() { Stack(w_); }

  /// The one record that a write to the page leaves.
  FaultEvent Recorded(int64_t page, std::string_view outcome) {
    FaultEventRing ring(4);
    {
      const FaultRecording recording(&ring);
      EXPECT_EQ(w_.Fault(page, kWrite), outcome);
    }
    const auto events = ring.Take().records;
    EXPECT_EQ(events.size(), 1u);
    return events.empty() ? FaultEvent{} : events[0];
  }

  SchemeMachine machine_;
  SchemeWorld w_{machine_, DefaultsOf(GetParam())};
};

TEST_P(StackGrowthEventTest, CoversTheGrowthAndTheFaultAfterIt) {
  const FaultEvent event = Recorded(3, "ok");
  EXPECT_TRUE(event.below_stack);
  EXPECT_EQ(event.outcome, 0u);
  EXPECT_TRUE(event.rungs.Has(FaultRung::kMmapLock));
  EXPECT_FALSE(Recorded(3, "ok").below_stack) << "it has grown";
}

TEST_P(StackGrowthEventTest, SaysThatTheStackCouldNotGrow) {
  w_.Map(2, 1);
  const FaultEvent event = Recorded(4, "SEGV_MAPERR");  // no gap to what lies below
  EXPECT_TRUE(event.below_stack);
  EXPECT_EQ(event.outcome, fault_bit::kNoVma);
}

INSTANTIATE_TEST_SUITE_P(Schemes, StackGrowthEventTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

class SpfWiresTablesTest : public testing::TestWithParam<SchemeName> {};

TEST_P(SpfWiresTablesTest, AFaultPutsInUpperTablesItselfIfToldTo) {
  FaultOptions options = DefaultsOf(GetParam());
  options.spf_wire_tables = true;
  SchemeMachine machine;
  SchemeWorld w(machine, options);
  AnonWithoutTables(w);
  const int64_t tables = w.mm->counters().Sum(MmCounter::kTables);
  const FaultStatsSnapshot start = w.mm->fault_stats().Snapshot();
  EXPECT_EQ(w.Fault(1, kRead), "ok");
  const FaultStatsSnapshot read = w.mm->fault_stats().Snapshot();
  EXPECT_EQ(LadderBetween(start, read), kTop);
  EXPECT_EQ(w.mm->counters().Sum(MmCounter::kTables), tables + 3);
  EXPECT_EQ(w.Fault(2, kWrite), "ok");
  EXPECT_EQ(LadderBetween(read, w.mm->fault_stats().Snapshot()), Then(kTop, "no_anon_vma", kMmap));
}

INSTANTIATE_TEST_SUITE_P(Schemes, SpfWiresTablesTest,
                         testing::Values(SchemeName::kSpfMmSeq, SchemeName::kSpfVmaSeq),
                         [](const auto& test) { return std::string(Name(test.param)); });

// -- Linux's four counters (B17) ------------------------------------------------------------------

class VmaLockCountersTest : public testing::TestWithParam<SchemeName> {
 protected:
  [[nodiscard]] static std::string Counters(Mm& mm) {
    const FaultStatsSnapshot now = mm.fault_stats().Snapshot();
    return "success " + std::to_string(now.vma_lock_success()) + " abort " +
           std::to_string(now.Count(FaultCounter::kVmaLockAbort)) + " retry " +
           std::to_string(now.Count(FaultCounter::kVmaLockRetry)) + " miss " +
           std::to_string(now.Count(FaultCounter::kVmaLockMiss));
  }
};

TEST_P(VmaLockCountersTest, SuccessIncludesFaultsThatEndBadly) {
  SchemeMachine machine;
  SchemeWorld w(machine, DefaultsOf(GetParam()));
  w.Map(0, 2, kR);
  EXPECT_EQ(w.Fault(0, kWrite), "SEGV_ACCERR");
  EXPECT_EQ(w.Fault(0, kRead), "ok");
  EXPECT_EQ(Counters(*w.mm), "success 2 abort 0 retry 0 miss 0");
}

TEST_P(VmaLockCountersTest, AbortIsGivingUpBeforeTheLockIsHad) {
  SchemeMachine machine;
  SchemeWorld w(machine, DefaultsOf(GetParam()));
  EXPECT_EQ(w.Fault(0, kRead), "SEGV_MAPERR");
  EXPECT_EQ(Counters(*w.mm), "success 0 abort 1 retry 0 miss 0");
}

TEST_P(VmaLockCountersTest, RetryIsNoSuccess) {
  FaultOptions options = DefaultsOf(GetParam());
  options.pgtable_alloc = TableAlloc::kTaskFlag;
  SchemeMachine machine;
  SchemeWorld w(machine, options);
  AnonInUse(w);
  const FaultStatsSnapshot before = w.mm->fault_stats().Snapshot();
  w.mm->fault_stats().Reset();
  // A page that cannot be had by who must not sleep: the fault has the lock and lets it go.
  FailPoints& points = w.world.machine().fail_points();
  points.Arm(1, FailPoints::Mode::kOnce, 1u << static_cast<uint32_t>(FailSite::kFrame));
  EXPECT_EQ(w.Fault(1, kWrite), "ok");
  points.Disarm();
  EXPECT_EQ(Counters(*w.mm), "success 0 abort 0 retry 1 miss 0");
  EXPECT_EQ(LadderBetween({}, w.mm->fault_stats().Snapshot()), Then(kVma, "no_page", kMmap));
  EXPECT_GT(before.vma_lock_success(), 0);
}

TEST_P(VmaLockCountersTest, KernelModeIsNoAttempt) {
  SchemeMachine machine;
  SchemeWorld w(machine, DefaultsOf(GetParam()));
  AnonWithoutTables(w);
  EXPECT_EQ(w.Fault(0, kWrite, FaultMode::kKernel), "ok");
  EXPECT_EQ(Counters(*w.mm), "success 0 abort 0 retry 0 miss 0");
}

INSTANTIATE_TEST_SUITE_P(Schemes, VmaLockCountersTest,
                         testing::Values(SchemeName::kVmaRwsem, SchemeName::kVmaLock,
                                         SchemeName::kVmaRefcnt),
                         [](const auto& test) { return std::string(Name(test.param)); });

// -- What a program sees --------------------------------------------------------------------------

/// Writes down what each step of one script does, with what a program and /proc can tell.
class Script {
 public:
  Script(SchemeMachine& machine, const FaultOptions& options, uint64_t first_sequence = 0)
      : w_(machine, options, /*fault_around_bytes=*/16 * kPageSize, first_sequence) {}

  std::vector<std::string> Run() {
    AnonymousMemory();
    Files();
    Stacks();
    Forks();
    w_.mm->Validate();
    return std::move(lines_);
  }

  /// Where the parent's faults ended, and why they left other rungs.
  [[nodiscard]] std::string Ladder() const {
    return LadderBetween({}, w_.mm->fault_stats().Snapshot());
  }

 private:
  void Note(const std::string& what) { lines_.push_back(what); }
  /// One fault: it ends on exactly one rung, whatever comes of it.
  void Fault(int64_t page, AccessKind access, FaultMode mode = FaultMode::kUser) {
    const int64_t ended = w_.mm->fault_stats().Snapshot().Ended();
    std::string line = "fault " + std::to_string(page) + " " + w_.Fault(page, access, mode);
    EXPECT_EQ(w_.mm->fault_stats().Snapshot().Ended(), ended + 1) << line;
    Note(line + State());
  }
  void Read(int64_t page) {
    uint64_t word = 0;
    const AccessOutcome outcome = w_.mm->Read(At(page), word);
    Note("read " + std::to_string(page) + " " + Why(outcome) + " " + std::to_string(word) +
         State());
  }
  void Write(int64_t page, uint64_t word) {
    Note("write " + std::to_string(page) + " " + Why(w_.mm->Write(At(page), word)) + State());
  }
  /// Residency and pages by kind.
  [[nodiscard]] std::string State() const {
    const MmCounters& counters = w_.mm->counters();
    return ": anon " + std::to_string(counters.Sum(MmCounter::kAnonPages)) + " file " +
           std::to_string(counters.Sum(MmCounter::kFilePages)) + " maps " + MapsOf(*w_.mm);
  }

  void AnonymousMemory() {
    w_.Map(0, 30);
    for (const AccessKind access : {kRead, kWrite, kExec}) {
      Fault(0, access);
      Fault(25, access);
      Fault(-3, access);
      Fault(1, access, FaultMode::kKernel);
    }
    Write(2, 5);
    Read(2);
    Read(3);
    Note(Why(w_.mm->Mprotect(At(0), Pages(10), kR)));
    Fault(2, kWrite);
    Fault(2, kRead);
    Note(Why(w_.mm->Mprotect(At(0), Pages(10), kRw | kProtExec)));
    Fault(2, kExec);
    Write(2, 6);
    Note(Why(w_.mm->Madvise(At(0), Pages(4), kMadvGuardInstall)));
    Fault(2, kRead);
    Fault(2, kWrite, FaultMode::kKernel);
    Note(Why(w_.mm->Madvise(At(0), Pages(4), kMadvGuardRemove)));
    Read(2);
    Note(Why(w_.mm->Madvise(At(0), Pages(30), kMadvDontNeed)));
    Read(25);
    Note(Why(w_.mm->Munmap(At(0), Pages(30))));
    Fault(2, kWrite);
  }
  void Files() {
    for (const uint64_t type : {kMapPrivate, kMapShared}) {
      w_.Map(40, 8, kRw, type | kMapFixed);
      Fault(40, kRead);
      Fault(41, kWrite);
      Fault(42, kRead, FaultMode::kKernel);
      Write(43, 77);
      Read(43);
      Write(40, 78);
      for (const AccessKind access : {kRead, kWrite, kExec}) Fault(47, access);
      Read(45);
      Note(Why(w_.mm->Munmap(At(40), Pages(8))));
    }
    Note(Why(
        w_.mm->Mmap({.addr = At(40), .length = Pages(4), .prot = kRw, .flags = kSharedAnonFixed})));
    Fault(41, kWrite);
    Write(42, 3);
    Read(42);
  }
  void Stacks() {
    w_.Map(200, 2, kRw, kAnonFixed | kMapGrowsDown);
    Write(200, 1);
    Fault(190, kWrite);
    Fault(180, kRead, FaultMode::kKernel);
    Write(170, 9);
    Read(170);
    Fault(-3000, kWrite);  // over the limit of the stack
  }
  void Forks() {
    w_.Map(60, 8);
    Write(60, 1);
    Write(61, 2);
    Mm* const parent = w_.mm;
    w_.mm = &w_.world.Fork(*parent);
    Fault(60, kWrite);
    Write(60, 10);
    Read(61);
    Fault(42, kWrite);
    Fault(62, kWrite, FaultMode::kKernel);
    Mm* const child = w_.mm;
    w_.mm = parent;
    Read(60);
    Write(61, 20);
    w_.mm = child;
    Read(61);
    Write(61, 21);
    w_.world.Drop(*child);
    w_.mm = parent;
    Write(61, 22);
    Read(61);
  }

  SchemeWorld w_;
  std::vector<std::string> lines_;
};

class FaultSchemeTest : public testing::TestWithParam<SchemeName> {};

TEST_P(FaultSchemeTest, AProgramCannotTellSchemeAndPoliciesApart) {
  SchemeMachine machine;
  const std::vector<std::string> expected =
      Script(machine, DefaultsOf(SchemeName::kMmapLock)).Run();
  for (const FaultOptions& options : AllowedOptions(GetParam())) {
    SCOPED_TRACE(TestNameOf(options));
    EXPECT_EQ(Script(machine, options).Run(), expected);
    if (HasFailure()) break;
  }
}

TEST_P(FaultSchemeTest, SequencesBeyond32BitsChangeNothing) {
  SchemeMachine machine;
  std::vector<std::string> expected;
  std::string ladder;
  {
    Script plain(machine, DefaultsOf(GetParam()));
    expected = plain.Run();
    ladder = plain.Ladder();
  }
  for (const uint64_t border : {1ull << 31, 1ull << 32, 1ull << 33, 1ull << 63}) {
    for (const uint64_t before : {0, 2, 8, 20}) {
      SCOPED_TRACE(border - before);
      Script script(machine, DefaultsOf(GetParam()), border - before);
      EXPECT_EQ(script.Run(), expected);
      EXPECT_EQ(script.Ladder(), ladder);
    }
  }
}

TEST_P(FaultSchemeTest, TheEndOfTheSequenceIsNotSeenByAProgram) {
  SchemeMachine machine;
  const std::vector<std::string> expected = Script(machine, DefaultsOf(GetParam())).Run();
  for (uint64_t before = 1; before < 60; before += 2) {
    SCOPED_TRACE(before);
    EXPECT_EQ(Script(machine, DefaultsOf(GetParam()), UINT64_MAX - before).Run(), expected);
  }
}

TEST_P(FaultSchemeTest, OperationsMarkAnyNumberOfVmas) {
  // More than lockdep's chain of held locks has room for; it watches.
  SetLockdep(true);
  {
    SchemeMachine machine;
    SchemeWorld w(machine, DefaultsOf(GetParam()));
    for (int64_t i = 0; i < 100; ++i) w.Map(2 * i, 1, i % 2 == 0 ? kRw : kR);
    EXPECT_EQ(w.mm->map_count(), 100u);
    EXPECT_EQ(w.Fault(2, kRead), "ok");
    Mm& child = w.world.Fork(*w.mm);
    EXPECT_EQ(child.map_count(), 100u);
    EXPECT_EQ(Why(w.mm->Munmap(At(0), Pages(200))), "ok");
    EXPECT_EQ(w.mm->map_count(), 0u);
    EXPECT_TRUE(child.Touch(At(2), kRead).ok());
  }
  SetLockdep(false);
}

INSTANTIATE_TEST_SUITE_P(Schemes, FaultSchemeTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
