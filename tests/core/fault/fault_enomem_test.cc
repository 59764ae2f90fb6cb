// SPDX-License-Identifier: Apache-2.0
//
// Every kind of fault with every one of its allocations failing, once and for ever: the outcome is
// kOom, entry and counters are as they were, nothing is leaked (~FaultMachine), and the same fault
// succeeds when there is memory again.

#include <functional>
#include <ostream>
#include <string>

#include "tests/core/fault/fault_test_base.h"

namespace faultline {
namespace {

struct Kind {
  std::string name;
  AccessKind access;
  VmaFlags flags;
  bool of_file;
  /// What comes before the fault on the first page.
  std::function<void(FaultMm&, std::unique_ptr<FaultMm>& child, FaultMachine&)> prepare;
  uint64_t least_allocations;
  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }
};

constexpr VirtAddr kPage{0x7f00'0000'0000};

void Nothing(FaultMm&, std::unique_ptr<FaultMm>&, FaultMachine&) {}
void ReadBefore(FaultMm& mm, std::unique_ptr<FaultMm>&, FaultMachine&) { (void)mm.Load(kPage); }
void ShareWithAChild(FaultMm& mm, std::unique_ptr<FaultMm>& child, FaultMachine& machine) {
  mm.Store(kPage, 1);
  child = std::make_unique<FaultMm>(machine);
  child->ForkFrom(mm);
}

// Tables from the root down: 3. An anon_vma: itself and its chain. A folio.
const Kind kKinds[] = {
    {"AnonRead", AccessKind::kRead, kPrivateReadWrite, false, Nothing, 3},
    {"AnonWrite", AccessKind::kWrite, kPrivateReadWrite, false, Nothing, 6},
    {"WriteOverZeroPage", AccessKind::kWrite, kPrivateReadWrite, false, ReadBefore, 3},
    {"WriteToShared", AccessKind::kWrite, kPrivateReadWrite, false, ShareWithAChild, 1},
    {"FileRead", AccessKind::kRead, kPrivateReadWrite, true, Nothing, 4},
    {"SharedWrite", AccessKind::kWrite, kSharedReadWrite, true, Nothing, 4},
    {"PrivateWrite", AccessKind::kWrite, kPrivateReadWrite, true, Nothing, 7},
    {"WriteOverFilePage", AccessKind::kWrite, kPrivateReadWrite, true, ReadBefore, 3},
};

class FaultOutOfMemoryTest : public testing::TestWithParam<Kind> {
 protected:
  /// One fault with its nth allocation failing; false if it has fewer.
  static bool FailsAt(uint64_t nth, FailPoints::Mode mode) {
    const Kind& kind = GetParam();
    Arena arena = std::move(*Arena::Create(64u << 20));
    Heap heap(arena);
    FaultMachine machine(heap, {});
    heap.SetFailPoints(&machine.fail_points());
    Mapping* mapping = kind.of_file ? &machine.NewMapping(Mapping::Kind::kFile, 4) : nullptr;
    bool failed = false;
    {
      FaultMm mm(machine);
      std::unique_ptr<FaultMm> child;
      mm.Map(kPage, 4, kind.flags, mapping);
      kind.prepare(mm, child, machine);
      const Entry before = mm.EntryAt(kPage);
      const int64_t anon_before = mm.Count(MmCounter::kAnonPages);
      const int64_t file_before = mm.Count(MmCounter::kFilePages);

      machine.fail_points().Arm(nth, mode);
      const FaultOutcome outcome = mm.Fault(kPage, kind.access);
      failed = machine.fail_points().failed() != 0;
      machine.fail_points().Disarm();
      EXPECT_EQ(outcome, failed ? fault_bit::kOom : 0u) << nth;
      if (failed) {
        EXPECT_EQ(mm.EntryAt(kPage), before) << nth;
        EXPECT_EQ(mm.Count(MmCounter::kAnonPages), anon_before) << nth;
        EXPECT_EQ(mm.Count(MmCounter::kFilePages), file_before) << nth;
        EXPECT_EQ(mm.Fault(kPage, kind.access), 0u) << nth;
      }
      EXPECT_TRUE(IsMappedFor(mm.target(), {kPage, kind.access})) << nth;
      mm.tables().Validate();
    }
    if (mapping != nullptr) mapping->Put();
    Rcu::Barrier();
    return failed;
  }
};

TEST_P(FaultOutOfMemoryTest, LeavesEverythingAsItWas) {
  for (const auto mode : {FailPoints::Mode::kOnce, FailPoints::Mode::kForEver}) {
    uint64_t nth = 1;
    while (FailsAt(nth, mode)) ++nth;
    EXPECT_GE(nth - 1, GetParam().least_allocations);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FaultOutOfMemoryTest, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace faultline
