// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/mm/proc_maps.h and proc_query.h without contention: what one reader sees of an mm
// that nobody changes, in every mode the same.

#include "core/mm/proc_maps.h"

#include <string>

#include "core/mm/proc_query.h"
#include "tests/core/mm/proc_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

class ProcMapsTest : public MmTest, public testing::WithParamInterface<SchemeName> {
 protected:
  ProcMapsTest()
      : MmTest({.fault = DefaultsOf(GetParam()), .start_brk = At(100), .start_stack = At(205)}) {}
  [[nodiscard]] std::vector<VmaRecord> Maps(size_t most = 100) {
    return MapsInEveryMode(mm(), most);
  }
  /// The range that a question is answered with, or the error.
  [[nodiscard]] std::string Ask(VirtAddr addr, uint64_t flags) {
    const std::string answer = Ask(ReadMode::kWholeLock, addr, flags);
    EXPECT_EQ(Ask(ReadMode::kPerVma, addr, flags), answer);
    EXPECT_EQ(Ask(ReadMode::kRcu, addr, flags), answer);
    return answer;
  }
  [[nodiscard]] std::string Ask(ReadMode mode, VirtAddr addr, uint64_t flags) {
    const Result<QueriedVma> answer = QueryVma(mm(), mode, addr, flags);
    return answer.ok() ? RangesOf({answer->vma}) : Why(answer);
  }
};

TEST_P(ProcMapsTest, ShowsEachVmaInOrder) {
  Map(0, 2);
  Map(2, 1, kR);
  Map(10, 3, kNone);
  EXPECT_EQ(RangesOf(Maps()), "0-2 2-3 10-13");
  const VmaRecord vma = Maps().at(1);
  EXPECT_EQ(vma.flags & vma_flag::kAccess, vma_flag::kRead);
  EXPECT_EQ(vma.path, "");
  EXPECT_EQ(vma.mapping, nullptr);
  EXPECT_EQ(vma.device, DeviceNumber());
  EXPECT_EQ(vma.inode, 0u);
  EXPECT_EQ(vma.offset, 0u);
}

TEST_P(ProcMapsTest, ShowsNothingOfAnEmptyMm) { EXPECT_TRUE(Maps().empty()); }

TEST_P(ProcMapsTest, ShowsFilesWithOffsetDeviceInodeAndName) {
  Mapping& file = world().NewFile(8);
  MapFile(0, 2, file, 3);
  Map(4, 1, kRw, kSharedAnonFixed);
  const std::vector<VmaRecord> maps = Maps();
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[0].mapping, &file);
  EXPECT_EQ(maps[0].path, "file");
  EXPECT_EQ(maps[0].offset, Pages(3));
  EXPECT_EQ(maps[0].inode, file.inode());
  EXPECT_EQ(maps[0].device, kFileDevice);
  EXPECT_EQ(maps[1].path, "/dev/zero (deleted)");
  EXPECT_EQ(maps[1].device, kShmemDevice);
  EXPECT_NE(maps[1].inode, 0u);
}

TEST_P(ProcMapsTest, NamesHeapAndStack) {
  ASSERT_EQ(*mm().Brk(At(103)), At(103));
  Map(200, 5, kRw, kAnonFixed | kMapGrowsDown);
  Map(300, 5, kRw, kAnonFixed | kMapGrowsDown);
  const std::vector<VmaRecord> maps = Maps();
  ASSERT_EQ(RangesOf(maps), "100-103 200-205 300-305");
  EXPECT_EQ(maps[0].path, "[heap]");
  EXPECT_EQ(maps[1].path, "[stack]");
  EXPECT_EQ(maps[2].path, "");
}

TEST_P(ProcMapsTest, PagesFollowEachOtherToTheEnd) {
  for (int page = 0; page < 10; page += 2) Map(page, 1);
  for (const ReadMode mode : kAllReadModes) {
    const Result<MapsPage> first = ReadMaps(mm(), mode, VirtAddr(0), 2);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(RangesOf(first->vmas), "0-1 2-3");
    EXPECT_EQ(first->next, At(3));
    const Result<MapsPage> all = ReadMaps(mm(), mode, VirtAddr(0), 5);
    ASSERT_TRUE(all.ok());
    EXPECT_EQ(all->next, std::nullopt) << "there is no empty last page";
  }
  for (const size_t most : {1u, 2u, 3u, 4u, 5u, 6u}) {
    EXPECT_EQ(RangesOf(Maps(most)), "0-1 2-3 4-5 6-7 8-9") << most;
  }
}

TEST_P(ProcMapsTest, APageThatBeginsInsideAVmaShowsAllOfIt) {
  Map(0, 4);
  Map(6, 1);
  for (const ReadMode mode : kAllReadModes) {
    const auto from = [&](VirtAddr addr) { return RangesOf(ReadMaps(mm(), mode, addr, 10)->vmas); };
    EXPECT_EQ(from(At(2)), "0-4 6-7");
    EXPECT_EQ(from(At(4)), "6-7");
    EXPECT_EQ(from(At(7)), "");
    EXPECT_EQ(from(VirtAddr(UINT64_MAX)), "");
  }
}

// -- Questions ------------------------------------------------------------------------------------

TEST_P(ProcMapsTest, AQuestionFindsTheCoveringVma) {
  Map(0, 2);
  Map(4, 2, kR);
  EXPECT_EQ(Ask(At(0), 0), "0-2");
  EXPECT_EQ(Ask(At(2) - 1, 0), "0-2");
  EXPECT_EQ(Ask(At(2), 0), "ENOENT");
  EXPECT_EQ(Ask(At(5), 0), "4-6");
  EXPECT_EQ(Ask(At(6), 0), "ENOENT");
  EXPECT_EQ(Ask(VirtAddr(0), 0), "ENOENT");
  EXPECT_EQ(Ask(VirtAddr(UINT64_MAX), 0), "ENOENT");
}

TEST_P(ProcMapsTest, AQuestionMayBeForTheNextVma) {
  Map(0, 2);
  Map(4, 2, kR);
  EXPECT_EQ(Ask(VirtAddr(0), query_flag::kCoveringOrNext), "0-2");
  EXPECT_EQ(Ask(At(1), query_flag::kCoveringOrNext), "0-2");
  EXPECT_EQ(Ask(At(2), query_flag::kCoveringOrNext), "4-6");
  EXPECT_EQ(Ask(At(6), query_flag::kCoveringOrNext), "ENOENT");
}

TEST_P(ProcMapsTest, AQuestionMayAskForPermissionsAndFiles) {
  Mapping& file = world().NewFile(4);
  Map(0, 1, kR);
  Map(2, 1, kRw);
  MapFile(4, 1, file, 0, kR, kMapPrivate);
  Map(6, 1, kRw, kSharedAnonFixed);
  Map(8, 1, kR | kProtExec);
  constexpr uint64_t kNext = query_flag::kCoveringOrNext;
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kWritable), "2-3");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kReadable), "0-1");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kShared), "6-7");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kExecutable), "8-9");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kExecutable | query_flag::kWritable), "ENOENT");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kFileBacked), "4-5");
  EXPECT_EQ(Ask(At(0), kNext | query_flag::kFileBacked | query_flag::kWritable), "6-7");
  EXPECT_EQ(Ask(At(0), query_flag::kWritable), "ENOENT") << "it covers, but does not match";
  EXPECT_EQ(Ask(At(2), query_flag::kFileBacked), "ENOENT");
}

TEST_P(ProcMapsTest, AnAnswerSaysThePermissions) {
  Map(0, 1, kRw, kSharedAnonFixed);
  const Result<QueriedVma> answer = QueryVma(mm(), ReadMode::kRcu, At(0), 0);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->query_flags,
            query_flag::kReadable | query_flag::kWritable | query_flag::kShared);
  EXPECT_EQ(answer->page_bytes, kPageSize);
  EXPECT_EQ(answer->vma.path, "/dev/zero (deleted)");
}

TEST_P(ProcMapsTest, UnknownFlagsOfAQuestionAreRefusedFirst) {
  EXPECT_EQ(Ask(At(0), 64), "EINVAL");
  EXPECT_EQ(Ask(At(0), uint64_t{1} << 63), "EINVAL");
  mm().Exit();
  EXPECT_EQ(Ask(At(0), 64), "EINVAL");
  EXPECT_EQ(Ask(At(0), 0), "ESRCH");
}

INSTANTIATE_TEST_SUITE_P(Schemes, ProcMapsTest, testing::ValuesIn(kReaderKinds),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace faultline
