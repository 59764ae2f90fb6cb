// SPDX-License-Identifier: Apache-2.0
//
// A whole Machine under the explorer: tasks of one mm that map, touch and unmap beside each other,
// under every schedule within the bound. The mm is validated at the end of each; memory that is
// left over, and touches of what was freed, end a schedule, too.

#include <algorithm>
#include <functional>
#include <vector>

#include "core/folio/no_wait_scope.h"
#include "core/machine/machine.h"
#include "tests/core/sync/modelled_runs.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr VirtAddr kPlace{0x1000'0000};
constexpr uint64_t kRw = kProtRead | kProtWrite;

VirtAddr Page(uint64_t page) { return kPlace + page * kPageSize; }

void Map(Mm& mm, uint64_t page, uint64_t pages) {
  MM_CHECK(mm.Mmap({.addr = Page(page),
                    .length = pages * kPageSize,
                    .prot = kRw,
                    .flags = kMapPrivate | kMapAnonymous | kMapFixed})
               .ok());
}
/// Done, or no mapping there.
bool Touched(Mm& mm, uint64_t page) {
  const AccessOutcome outcome = mm.Write(Page(page), page + 1);
  MM_CHECK(outcome.ok() || (outcome.signal == kSigSegv && outcome.code == kSegvMapErr));
  return outcome.ok();
}

using Code = std::function<void(Mm&)>;

struct EndOfMachine : RcuHead {
  Heap* heap = nullptr;
  Machine* machine = nullptr;
};

/// Under each scheme.
class MachineExploredTest : public testing::TestWithParam<SchemeName> {
 protected:
  void Beside(const Code& setup, const Code& first, const Code& second, const Code& check,
              uint32_t bound);
};

/// Explores `first` beside `second` after `setup`. A sanitizer, under which a schedule takes ten
/// times as long, looks for something else than the second preemption.
void MachineExploredTest::Beside(const Code& setup, const Code& first, const Code& second,
                                 const Code& check, uint32_t bound) {
  const auto body = [&](Execution& run) {
    auto* const end = run.New<EndOfMachine>();
    end->heap = &run.heap();
    end->machine = *Machine::CreateIn(run.heap(), {.memory_bytes = 64 * kPageSize, .cpus = 2});
    Mm* const mm =
        *end->machine->CreateMm({.fault = DefaultsOf(GetParam()), .extra_duties = kExtraDuties});
    setup(*mm);
    run.Spawn("first", [=] { first(*mm); });
    run.Spawn("second", [=] { second(*mm); });
    run.AtEnd([=] {
      check(*mm);
      end->machine->Validate();
      mm->DropUser();
      // Behind everything that this retired: at the end of a run callbacks come in order.
      Rcu::Retire(*end, [](RcuHead* head) {
        auto* const last = static_cast<EndOfMachine*>(head);
        last->heap->Delete(last->machine);
      });
    });
  };
  SearchOptions options;
  options.bound = kAsan ? std::min(bound, 1u) : bound;
  const SearchResult result = Explore(SubjectFor(body), options);
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.schedules, 1u);
  testing::Test::RecordProperty("schedules", std::to_string(result.schedules));
  if (result.finding.has_value()) ADD_FAILURE() << result.finding->table;
}

TEST_P(MachineExploredTest, MapsAndTouchesBesideEachOther) {
  const auto map_and_touch = [](uint64_t page) {
    return [page](Mm& mm) {
      Map(mm, page, 1);
      MM_CHECK(Touched(mm, page));
    };
  };
  Beside([](Mm&) {}, map_and_touch(0), map_and_touch(1),
         [](Mm& mm) {
           MM_CHECK_EQ(mm.pages().total, 2u);
           MM_CHECK_EQ(mm.counters().Sum(MmCounter::kAnonPages), 2);
         },
         /*bound=*/1);
}

TEST_P(MachineExploredTest, ATouchBesideMunmapComesBeforeOrFails) {
  Beside([](Mm& mm) { Map(mm, 0, 1); }, [](Mm& mm) { (void)Touched(mm, 0); },
         [](Mm& mm) { MM_CHECK(mm.Munmap(Page(0), kPageSize).ok()); },
         [](Mm& mm) {
           MM_CHECK_EQ(mm.map_count(), 0u);
           MM_CHECK_EQ(mm.counters().Sum(MmCounter::kTables), 1);
         },
         /*bound=*/2);
}

TEST_P(MachineExploredTest, ATouchThatMustNotWaitBesideMunmapCanBeMadeAgain) {
  Beside([](Mm& mm) { Map(mm, 0, 1); },
         [](Mm& mm) {
           AccessOutcome outcome;
           {
             const NoWaitScope scope;
             outcome = mm.Fault({Page(0), AccessKind::kWrite});
           }
           const int64_t ended = outcome.end == AccessEnd::kWouldWait ? 0 : 1;
           MM_CHECK_EQ(mm.fault_stats().Snapshot().Ended(), ended);
           if (ended == 0) (void)Touched(mm, 0);
         },
         [](Mm& mm) { MM_CHECK(mm.Munmap(Page(0), kPageSize).ok()); },
         [](Mm& mm) {
           MM_CHECK_EQ(mm.map_count(), 0u);
           MM_CHECK_EQ(mm.counters().Sum(MmCounter::kTables), 1);
         },
         /*bound=*/2);
}

TEST_P(MachineExploredTest, TwoMunmapsThatOverlap) {
  Beside(
      [](Mm& mm) {
        Map(mm, 0, 3);
        MM_CHECK(Touched(mm, 1));
      },
      [](Mm& mm) { MM_CHECK(mm.Munmap(Page(0), 2 * kPageSize).ok()); },
      [](Mm& mm) { MM_CHECK(mm.Munmap(Page(1), 2 * kPageSize).ok()); },
      [](Mm& mm) { MM_CHECK_EQ(mm.map_count(), 0u); }, /*bound=*/2);
}

INSTANTIATE_TEST_SUITE_P(Schemes, MachineExploredTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
