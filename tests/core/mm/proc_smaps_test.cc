// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/mm/proc_smaps.h without contention: what counts as what, in every mode the same,
// and how it adds up.

#include "core/mm/proc_smaps.h"

#include <string>

#include "tests/core/mm/proc_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

/// Pages of which a share in bytes is.
SharedBytes Share(uint64_t pages, uint64_t sharers = 1) {
  SharedBytes share;
  for (uint64_t i = 0; i < pages; ++i) share.Add(kPageSize, sharers);
  return share;
}

class ProcSmapsTest : public MmTest, public testing::WithParamInterface<SchemeName> {
 protected:
  ProcSmapsTest() : MmTest({.fault = DefaultsOf(GetParam()), .fault_around_bytes = kPageSize}) {}

  /// Of the one VMA that there is.
  [[nodiscard]] Residency Only(Mm& of) {
    const std::vector<SmapsRecord> all = SmapsInEveryMode(of);
    MM_CHECK_EQ(all.size(), 1u);
    return all[0].residency;
  }
  [[nodiscard]] Residency Only() { return Only(mm()); }
  /// The rollup in every mode, or why there is none.
  [[nodiscard]] Result<SmapsRollup> Rollup() {
    Result<SmapsRollup> all = ReadSmapsRollup(mm(), ReadMode::kWholeLock);
    for (const ReadMode mode : kAllReadModes) {
      const Result<SmapsRollup> rollup = ReadSmapsRollup(mm(), mode);
      EXPECT_EQ(Why(rollup), Why(all));
      if (!rollup.ok() || !all.ok()) continue;
      EXPECT_EQ(rollup->range, all->range);
      EXPECT_EQ(rollup->residency, all->residency);
    }
    return all;
  }
  void Read(int64_t page) { (void)WordAt(mm(), At(page)); }
};

TEST_P(ProcSmapsTest, NothingIsResidentBeforeItIsTouched) {
  Map(0, 4);
  EXPECT_EQ(Only(), Residency());
}

TEST_P(ProcSmapsTest, WrittenAnonymousPagesArePrivateDirtyAndReferenced) {
  Map(0, 8);
  Fill(1, 3, 5);
  const Residency seen = Only();
  EXPECT_EQ(seen.rss, Pages(3));
  EXPECT_EQ(seen.pss, Share(3));
  EXPECT_EQ(seen.pss_dirty, Share(3));
  EXPECT_EQ(seen.pss_anon, Share(3));
  EXPECT_EQ(seen.pss_file, SharedBytes());
  EXPECT_EQ(seen.private_dirty, Pages(3));
  EXPECT_EQ(seen.private_clean + seen.shared_clean + seen.shared_dirty, 0u);
  EXPECT_EQ(seen.referenced, Pages(3));
  EXPECT_EQ(seen.anonymous, Pages(3));
  EXPECT_EQ(seen.lazy_free, 0u);
  EXPECT_EQ(seen.locked, SharedBytes());
}

TEST_P(ProcSmapsTest, TheZeroPageAndGuardsAreNotResident) {
  Map(0, 4);
  Read(0);
  ASSERT_EQ(Why(mm().Madvise(At(1), Pages(1), kMadvGuardInstall)), "ok");
  EXPECT_EQ(Only(), Residency());
}

TEST_P(ProcSmapsTest, FreedPagesAreLazyFreeCleanAndOld) {
  Map(0, 4);
  Fill(0, 4, 1);
  ASSERT_EQ(Why(mm().Madvise(At(0), Pages(3), kMadvFree)), "ok");
  const Residency seen = Only();
  EXPECT_EQ(seen.lazy_free, Pages(3));
  EXPECT_EQ(seen.anonymous, Pages(4));
  EXPECT_EQ(seen.private_clean, Pages(3));
  EXPECT_EQ(seen.private_dirty, Pages(1));
  EXPECT_EQ(seen.referenced, Pages(1));
}

TEST_P(ProcSmapsTest, PagesSharedWithAChildAreDividedByTwo) {
  Map(0, 3);
  Fill(0, 3, 1);
  Mm& child = world().Fork(mm());
  FillIn(child, 0, 1, 9);  // its own copy
  for (Mm* const each : {&mm(), &child}) {
    const Residency seen = Only(*each);
    EXPECT_EQ(seen.rss, Pages(3));
    EXPECT_EQ(seen.pss.bytes(), Pages(2));
    EXPECT_EQ(seen.shared_dirty, Pages(2));
    EXPECT_EQ(seen.private_dirty, Pages(1));
    EXPECT_EQ(seen.anonymous, Pages(3));
  }
}

TEST_P(ProcSmapsTest, ThirdsLoseLessThanAByteEach) {
  Map(0, 3);
  Fill(0, 3, 1);
  world().Fork(mm());
  world().Fork(mm());
  EXPECT_EQ(Only().pss, Share(3, 3));
  EXPECT_EQ(Only().pss.bytes(), Pages(1) - 1) << "as in Linux";
}

TEST_P(ProcSmapsTest, PagesOfFilesAreCleanUntilWritten) {
  Mapping& file = world().NewFile(8);
  MapFile(0, 4, file, 0);
  Read(0);
  Read(1);
  Fill(2, 1, 1);
  const Residency seen = Only();
  EXPECT_EQ(seen.rss, Pages(3));
  EXPECT_EQ(seen.pss_file, Share(3));
  EXPECT_EQ(seen.anonymous, 0u);
  EXPECT_EQ(seen.private_clean, Pages(2));
  EXPECT_EQ(seen.private_dirty, Pages(1));
}

TEST_P(ProcSmapsTest, PagesOfAFileMappedTwiceAreShared) {
  Mapping& file = world().NewFile(8);
  MapFile(0, 2, file, 0);
  MapFile(10, 2, file, 0);
  Read(0);
  Read(10);
  Read(11);
  const std::vector<SmapsRecord> all = SmapsInEveryMode(mm());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].residency.shared_clean, Pages(1));
  EXPECT_EQ(all[0].residency.pss.bytes(), kPageSize / 2);
  EXPECT_EQ(all[1].residency.private_clean, Pages(1));
  EXPECT_EQ(all[1].residency.pss.bytes(), kPageSize + kPageSize / 2);
}

TEST_P(ProcSmapsTest, SharedAnonymousMemoryIsNeitherAnonymousNorOfAFile) {
  Map(0, 2, kRw, kSharedAnonFixed);
  Fill(0, 1, 1);
  const Residency seen = Only();
  EXPECT_EQ(seen.anonymous, 0u);
  EXPECT_EQ(seen.pss_shmem, Share(1));
  EXPECT_EQ(seen.private_dirty, Pages(1));
}

TEST_P(ProcSmapsTest, LockedIsTheShareOfLockedVmas) {
  Map(0, 2);
  ASSERT_EQ(Why(mm().Mlock(At(0), Pages(2))), "ok");
  EXPECT_EQ(Only().locked, Share(2));
}

TEST_P(ProcSmapsTest, CountsOverManyTablesAndHoles) {
  // 600 tables' span, of which every 100th has a page.
  Map(0, 600 * kPagesPerPmd);
  for (int64_t table = 0; table < 600; table += 100) {
    Fill(table * static_cast<int64_t>(kPagesPerPmd) + 30, 1, 1);
  }
  EXPECT_EQ(Only().rss, Pages(6));
  EXPECT_EQ(Rollup()->residency.rss, Pages(6));
}

TEST_P(ProcSmapsTest, TheRollupIsTheSumFromFirstToLast) {
  Mapping& file = world().NewFile(8);
  Map(0, 4);
  Fill(0, 2, 1);
  MapFile(10, 4, file, 0);
  Read(10);
  Map(20, 2, kRw, kSharedAnonFixed);
  Fill(20, 2, 1);
  Map(30, 5, kNone);
  const Result<SmapsRollup> rollup = Rollup();
  ASSERT_TRUE(rollup.ok());
  EXPECT_EQ(rollup->range, VirtRange(At(0), At(35)));
  EXPECT_EQ(rollup->residency.rss, Pages(5));
  EXPECT_EQ(rollup->residency.pss_anon, Share(2));
  EXPECT_EQ(rollup->residency.pss_file, Share(1));
  EXPECT_EQ(rollup->residency.pss_shmem, Share(2));
}

TEST_P(ProcSmapsTest, TheRollupOfNothingIsAnError) {
  EXPECT_EQ(Why(Rollup()), "ESRCH");
  Map(0, 1);
  EXPECT_EQ(Why(Rollup()), "ok");
  mm().Exit();
  EXPECT_EQ(Why(Rollup()), "ESRCH");
}

TEST_P(ProcSmapsTest, PagesFollowEachOtherToTheEnd) {
  for (int page = 0; page < 10; page += 2) {
    Map(page, 1);
    Fill(page, 1, 1);
  }
  for (const size_t most : {1u, 2u, 5u, 6u}) {
    const std::vector<SmapsRecord> all = SmapsInEveryMode(mm(), most);
    ASSERT_EQ(all.size(), 5u);
    for (const SmapsRecord& record : all) EXPECT_EQ(record.residency.rss, Pages(1));
  }
}

INSTANTIATE_TEST_SUITE_P(Schemes, ProcSmapsTest, testing::ValuesIn(kReaderKinds),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
