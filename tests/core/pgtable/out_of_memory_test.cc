// SPDX-License-Identifier: Apache-2.0
//
// Each allocation of a table in the operations of core/pgtable fails once: what was done so far
// stays consistent, nothing is lost, and the operation can be done again.

#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "core/pgtable/range_ops.h"
#include "tests/core/pgtable/table_world.h"

namespace faultline {
namespace {

class OutOfMemoryTest : public testing::TestWithParam<uint32_t> {
 protected:
  static constexpr uint32_t kTables = 1u << static_cast<uint32_t>(FailSite::kTable);

  OutOfMemoryTest() { world_.frames().SetFailPoints(&points_); }
  ~OutOfMemoryTest() override { points_.Disarm(); }

  /// Runs attempt() with the first table missing, then the second, and so on until one succeeds;
  /// prepare() before each. Returns how many failed.
  uint64_t FailEach(
      const std::function<bool()>& attempt, const std::function<void()>& prepare = [] {}) {
    for (uint64_t nth = 1;; ++nth) {
      prepare();
      points_.Arm(nth, FailPoints::Mode::kOnce, kTables);
      const bool ok = attempt();
      EXPECT_EQ(points_.failed() == 0, ok) << "allocation " << nth;
      points_.Disarm();
      mm_.tables().Validate();
      if (ok) return nth - 1;
    }
  }

  FailPoints points_;
  TableWorld world_;
  TestMm mm_{world_, GetParam()};
  PageTables& tables_ = mm_.tables();
  const VirtAddr addr_{0x1234'5678'9000};
};
INSTANTIATE_TEST_SUITE_P(Levels, OutOfMemoryTest, testing::Values(4u, 5u));

TEST_P(OutOfMemoryTest, Init) {
  MmCounters counters(world_.cpus());
  PageTables tables(world_.frames(), counters, GetParam());
  points_.Arm(1, FailPoints::Mode::kOnce, kTables);
  EXPECT_EQ(tables.Init().error(), Errno::kEnomem);
  EXPECT_EQ(counters.Sum(MmCounter::kTables), 0);
  EXPECT_TRUE(tables.Init().ok());
}

TEST_P(OutOfMemoryTest, AllocPmdKeepsWhatItGot) {
  int64_t tables_before = 1;
  const auto attempt = [&] {
    mm_.Unmap();
    const Result<EntryRef> pmd = tables_.AllocPmd(addr_, Gfp::kKernel);
    if (!pmd.ok()) {
      EXPECT_EQ(pmd.error(), Errno::kEnomem);
      EXPECT_EQ(mm_.table_count(), tables_before++);
    }
    return pmd.ok();
  };
  EXPECT_EQ(FailEach(attempt), GetParam() - 2);
}

TEST_P(OutOfMemoryTest, AllocPte) {
  const EntryRef pmd = *tables_.AllocPmd(addr_, Gfp::kKernel);
  EXPECT_EQ(FailEach([&] { return tables_.AllocPte(pmd, Gfp::kKernel).ok(); }), 1u);
  EXPECT_EQ(FailEach([&] { return tables_.AllocSpare(TableLevel::kPte, Gfp::kKernel).ok(); }), 1u);
}

TEST_P(OutOfMemoryTest, CopyRangeLeavesWhatItCopiedForTheTeardown) {
  // Two PTE tables in each of two PMD tables.
  const VirtAddr base(0x1234'4000'0000);
  const VirtRange range(base - 2 * kPmdSize, base + 2 * kPmdSize);
  for (VirtAddr addr = range.start(); addr < range.end(); addr += kPmdSize) mm_.MapAnon(addr);
  std::optional<TestMm> child;
  const auto attempt = [&] {
    const Result<void> result = mm_.WithGather([&](TlbGather& gather) {
      return CopyRange(child->tables(), tables_, gather, range, /*shared=*/false);
    });
    child->tables().Validate();
    int32_t copies = 0;
    for (VirtAddr addr = range.start(); addr < range.end(); addr += kPmdSize) {
      const Folio& folio = world_.frames().FolioOf(mm_.At(addr).pfn());
      const int32_t copied = child->At(addr).present() ? 1 : 0;
      EXPECT_EQ(folio.mapcount(), 1 + copied);
      EXPECT_EQ(folio.refcount(), static_cast<uint32_t>(1 + copied));
      copies += copied;
    }
    EXPECT_EQ(child->counters().Sum(MmCounter::kAnonPages), copies);
    EXPECT_EQ(copies == 4, result.ok());
    return result.ok();
  };
  const uint64_t failed = FailEach(attempt, [&] { child.emplace(world_, GetParam()); });
  EXPECT_EQ(failed, GetParam() - 3 + 2 + 4);  // below the root; two PMD tables, four PTE tables
}

TEST_P(OutOfMemoryTest, MoveRangeSaysHowFarItCameAndLosesNothing) {
  const VirtAddr from(0x1234'4000'0000);
  const VirtAddr to(0x2234'4000'0000 - kPageSize);
  const uint64_t length = 3 * kPmdSize;
  const auto present = [&](VirtAddr base, uint64_t begin, uint64_t end) {
    uint64_t pages = 0;
    for (uint64_t i = begin; i < end; i += kPageSize) pages += mm_.At(base + i).present() ? 1 : 0;
    return pages;
  };
  for (uint64_t i = 0; i < length; i += kPmdSize / 4) mm_.MapAnon(from + i);
  const uint64_t pages = present(from, 0, length);
  const uint64_t failed = FailEach([&] {
    const uint64_t moved = mm_.WithGather(
        [&](TlbGather& gather) { return MoveRange(tables_, gather, from, to, length); });
    EXPECT_EQ(present(from, 0, moved), 0u);
    EXPECT_EQ(present(to, moved, length), 0u);
    EXPECT_EQ(present(to, 0, moved) + present(from, moved, length), pages);
    EXPECT_EQ(mm_.counters().Sum(MmCounter::kAnonPages), static_cast<int64_t>(pages));
    if (moved == length) return true;
    // Back, as the caller would, and the target's tables away.
    points_.Disarm();
    const uint64_t back = mm_.WithGather(
        [&](TlbGather& gather) { return MoveRange(tables_, gather, to, from, moved); });
    EXPECT_EQ(back, moved);
    EXPECT_EQ(present(from, 0, length), pages);
    mm_.Free({to, to + length}, from + length, VirtAddr(0));
    return false;
  });
  EXPECT_GE(failed, 5u);  // PTE tables on both sides of a PMD boundary, and what is above
}

TEST_P(OutOfMemoryTest, InstallGuardsLeavesAPrefix) {
  const VirtAddr base(0x1234'4000'0000 - kPmdSize);
  const VirtRange range(base, base + 3 * kPmdSize);
  const uint64_t failed = FailEach([&] {
    mm_.Unmap();
    const Result<void> result =
        mm_.WithGather([&](TlbGather& gather) { return InstallGuards(tables_, gather, range); });
    bool guarded = true;
    for (VirtAddr addr = range.start(); addr < range.end(); addr += kPmdSize / 2) {
      const bool is_guard = mm_.At(addr).is_guard();
      EXPECT_TRUE(guarded || !is_guard);
      guarded = is_guard;
    }
    EXPECT_EQ(guarded, result.ok());
    return result.ok();
  });
  EXPECT_EQ(failed, GetParam() - 3 + 2 + 3);
}

}  // namespace
}  // namespace faultline
