// SPDX-License-Identifier: Apache-2.0
//
// What faults are counted as, by kind, under every locking scheme: what a fault comes to does not
// depend on how it was protected. Each fault here ends in exactly one kind.

#include <string>

#include "tests/core/mm/fault_options_list.h"
#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

constexpr auto kRead = AccessKind::kRead;
constexpr auto kWrite = AccessKind::kWrite;

class FaultKindsTest : public MmTest, public testing::WithParamInterface<SchemeName> {
 protected:
  FaultKindsTest() : MmTest({.fault = DefaultsOf(GetParam()), .fault_around_bytes = kPageSize}) {}

  /// One fault as "anon", or "anon x2" if it was counted twice.
  std::string KindOf(Mm& mm, int64_t page, AccessKind access) {
    const FaultStatsSnapshot before = mm.fault_stats().Snapshot();
    (void)mm.Fault({At(page), access});
    FaultStatsSnapshot seen = mm.fault_stats().Snapshot();
    seen -= before;
    std::string text;
    for (const FaultKind kind : AllOf<FaultKind>()) {
      const int64_t count = seen.Ended(kind);
      if (count == 0) continue;
      text += std::string(Name(kind)) + (count == 1 ? "" : " x" + std::to_string(count));
    }
    EXPECT_EQ(seen.Ended(), 1);
    return text;
  }
  std::string KindOf(int64_t page, AccessKind access) { return KindOf(mm(), page, access); }
};

TEST_P(FaultKindsTest, AnonymousMemory) {
  Map(0, 8);
  EXPECT_EQ(KindOf(0, kWrite), "anon");
  EXPECT_EQ(KindOf(0, kWrite), "spurious");
  EXPECT_EQ(KindOf(1, kRead), "zero_page");
  EXPECT_EQ(KindOf(1, kRead), "spurious");
  EXPECT_EQ(KindOf(1, kWrite), "write_protected");
  EXPECT_EQ(KindOf(9, kRead), "error");
}

TEST_P(FaultKindsTest, CopiesAndPagesTakenOver) {
  Map(0, 8);
  Fill(0, 2, 1);
  Mm& child = world().Fork(mm());
  EXPECT_EQ(KindOf(child, 0, kWrite), "write_protected");  // a copy
  EXPECT_EQ(KindOf(0, kWrite), "write_protected");         // taken over
}

TEST_P(FaultKindsTest, Files) {
  Mapping& file = world().NewFile(4);
  MapFile(0, 4, file, 0);
  MapFile(8, 4, file, 0, kRw, abi::kMapPrivate);
  EXPECT_EQ(KindOf(0, kRead), "mapping_read");
  EXPECT_EQ(KindOf(1, kWrite), "mapping_shared");
  EXPECT_EQ(KindOf(8, kRead), "mapping_read");
  EXPECT_EQ(KindOf(8, kWrite), "write_protected");
  EXPECT_EQ(KindOf(9, kWrite), "mapping_cow");
}

TEST_P(FaultKindsTest, FaultAroundIsARead) {
  Mm& wide = world().NewMm({.fault = DefaultsOf(GetParam())});
  Mapping& file = world().NewFile(4);
  ASSERT_EQ(Why(wide.Mmap({.addr = At(0),
                           .length = Pages(4),
                           .prot = kRw,
                           .flags = abi::kMapShared | abi::kMapFixed,
                           .file = &file,
                           .open_file = 1})),
            "ok");
  EXPECT_EQ(KindOf(wide, 1, kRead), "mapping_read");
  EXPECT_EQ(KindOf(wide, 2, kRead), "spurious");
}

TEST_P(FaultKindsTest, ErrorsOfEveryCause) {
  Mapping& file = world().NewFile(1);
  MapFile(0, 4, file, 0);
  Map(8, 2, kR);
  EXPECT_EQ(KindOf(2, kRead), "error");   // behind the end
  EXPECT_EQ(KindOf(2, kWrite), "error");  // behind the end
  EXPECT_EQ(KindOf(8, kWrite), "error");  // not allowed
  Map(16, 4);
  machine().fail_points().Arm(1, FailPoints::Mode::kForEver);
  EXPECT_EQ(KindOf(16, kWrite), "error");  // no memory
  machine().fail_points().Disarm();
}

TEST_P(FaultKindsTest, AStackThatGrewIsCountedOnceAsWhatItCameTo) {
  Map(8, 2, kRw, kAnonFixed | abi::kMapGrowsDown);
  EXPECT_EQ(KindOf(6, kWrite), "anon");
  EXPECT_EQ(KindOf(5, kRead), "zero_page");
  EXPECT_EQ(KindOf(-10'000, kRead), "error");
  EXPECT_EQ(mm().fault_stats().Snapshot().Succeeded(FaultRung::kMmapLock), 3);
}

INSTANTIATE_TEST_SUITE_P(Schemes, FaultKindsTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
