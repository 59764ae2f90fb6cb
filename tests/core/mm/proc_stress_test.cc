// SPDX-License-Identifier: Apache-2.0
//
// Readers of maps and smaps, one in each mode, beside writers who split, merge, map over, move,
// unmap and fork, and beside faults, under each scheme, on real threads. What is checked: pages
// that are mapped all the time are in every reading, addresses go forward, a page that is resident
// all the time is counted in all smaps, and at the end the mm is valid.
//
// The writers' operations are a fixed list, done a fixed number of times: no seed, no clock.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "tests/core/mm/proc_fixture.h"
#include "tests/core/sync/stress.h"
#include "tests/core/sync/test_thread.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr int kRounds = kTsan || kAsan ? 60 : 300;
/// Pages 0 to 5 are always mapped, in changing VMAs; page 5 is always resident.
constexpr uint64_t kAlways = 6;

class ProcStressTest : public testing::TestWithParam<SchemeName> {
 protected:
  void Map(int64_t page, uint64_t pages, uint64_t prot) {
    MM_CHECK(mm_.Mmap({.addr = At(page), .length = Pages(pages), .prot = prot, .flags = kAnonFixed})
                 .ok());
  }
  /// Changes VMAs of pages 0 to 4, and the neighbourhood of all.
  void Change() {
    MM_CHECK(mm_.Mprotect(At(1), Pages(2), kR).ok());
    Map(-4, 4, kRw);
    Map(0, 2, kRw | kProtExec);
    MM_CHECK(mm_.Munmap(At(-4), Pages(4)).ok());
    MM_CHECK(mm_.Mprotect(At(0), Pages(4), kRw).ok());
    Map(8, 3, kRw);
    (void)mm_.Write(At(9), 1);
    MM_CHECK(mm_.Mremap(At(8), Pages(3), Pages(3), kMremapMayMove | kMremapFixed, At(600)).ok());
    MM_CHECK(mm_.Madvise(At(0), Pages(4), kMadvDontNeed).ok());
    MM_CHECK(mm_.Munmap(At(600), Pages(3)).ok());
  }
  void Fork() {
    const Result<Mm*> child = mm_.Fork();
    MM_CHECK(child.ok());
    (*child)->DropUser();
  }
  void Fault() {
    for (int64_t page = 0; page < 12; ++page) (void)mm_.Touch(At(page), AccessKind::kWrite);
  }

  void CheckMaps(ReadMode mode) {
    VirtAddr covered = At(0);
    VirtAddr last{0};
    for (const VmaRecord& vma : AllMaps(mm_, mode, 3)) {
      EXPECT_GT(vma.range.end(), last);
      last = vma.range.end();
      if (vma.range.start() <= covered) covered = std::max(covered, vma.range.end());
    }
    EXPECT_GE(covered, At(kAlways)) << NameOf(mode);
  }
  void CheckSmaps(ReadMode mode) {
    uint64_t rss = 0;
    for (const SmapsRecord& record : AllSmaps(mm_, mode, 3)) {
      if (record.vma.range.Contains(At(kAlways - 1))) rss = record.residency.rss;
    }
    EXPECT_GE(rss, kPageSize) << NameOf(mode);
    const Result<SmapsRollup> rollup = ReadSmapsRollup(mm_, mode);
    ASSERT_TRUE(rollup.ok());
    EXPECT_GE(rollup->residency.rss, kPageSize) << NameOf(mode);
    EXPECT_GE(rollup->range.end(), At(kAlways));
  }

  MmWorld world_;
  Mm& mm_ = world_.NewMm({.fault = DefaultsOf(GetParam())});
};

TEST_P(ProcStressTest, WhatIsAlwaysMappedIsAlwaysSeen) {
  Map(0, kAlways, kRw);
  MM_CHECK(mm_.Write(At(kAlways - 1), 7).ok());
  constexpr int kWriters = 1;
  std::atomic<int> writing = kWriters;
  RunTogether(kWriters + 2 + 3, [&](int thread) {
    if (thread < kWriters) {
      for (int round = 0; round < kRounds; ++round) Change();
      --writing;
    } else if (thread == kWriters) {
      while (writing != 0) Fault();
    } else if (thread == kWriters + 1) {
      for (int round = 0; round < kRounds / 10; ++round) Fork();
    } else {
      const ReadMode mode = kAllReadModes[thread - kWriters - 2];
      do {
        CheckMaps(mode);
        CheckSmaps(mode);
      } while (writing != 0 && !testing::Test::HasFailure());
    }
  });
  world_.End();
}

INSTANTIATE_TEST_SUITE_P(Schemes, ProcStressTest, testing::ValuesIn(AllSchemes()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
