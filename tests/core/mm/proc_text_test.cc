// SPDX-License-Identifier: Apache-2.0
//
// Tests of core/mm/proc_text.h beside the running kernel: its lines of maps, taken apart and put
// together again, and its paragraphs of smaps about memory of this process that is used as that of
// an Mm is. Lines that only some kernels print are left out of the comparison: ProtectionKey, and
// the flag "sd" in VmFlags.

#include "core/mm/proc_text.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "tests/core/mm/proc_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

VmaFlags FlagsOf(std::string_view perms) {
  VmaFlags flags = 0;
  if (perms[0] == 'r') flags |= vma_flag::kRead;
  if (perms[1] == 'w') flags |= vma_flag::kWrite;
  if (perms[2] == 'x') flags |= vma_flag::kExec;
  if (perms[3] == 's') flags |= vma_flag::kMayShare;
  return flags;
}

/// What a line of maps says.
VmaRecord Parse(const std::string& line) {
  std::istringstream in(line);
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t inode = 0;
  char separator = 0;
  std::string perms;
  VmaRecord record;
  in >> std::hex >> start >> separator >> end >> perms >> record.offset >> record.device.major >>
      separator >> record.device.minor >> std::dec >> inode;
  std::string path;
  std::getline(in >> std::ws, path);
  record.range = VirtRange(VirtAddr(start), VirtAddr(end));
  record.flags = FlagsOf(perms);
  record.inode = inode;
  record.path = absl::StrReplaceAll(path, {{"\\012", "\n"}});
  return record;
}

TEST(MapsTextTest, LinesOfTheKernelComeBackByteForByte) {
  std::ifstream maps("/proc/self/maps");
  int lines = 0;
  for (std::string line; std::getline(maps, line); ++lines) {
    std::string text;
    AppendMapsLine(Parse(line), text);
    EXPECT_EQ(text, line + "\n");
  }
  EXPECT_GT(lines, 10);
}

TEST(MapsTextTest, OfANameOnlyTheNewlineIsEscaped) {
  VmaRecord record;
  record.range = VirtRange(VirtAddr(0x1000), VirtAddr(0x2000));
  record.path = "a b\nc\\d\te";
  std::string text;
  AppendMapsLine(record, text);
  const std::string head = "00001000-00002000 ---p 00000000 00:00 0 ";
  EXPECT_EQ(text, head + std::string(73 - head.size(), ' ') + "a b\\012c\\d\te\n");
}

TEST(MapsTextTest, NamesBehindLongLinesKeepOneSpace) {
  VmaRecord record;
  record.range = VirtRange(VirtAddr(0xffff'ffff'ff60'0000), VirtAddr(0xffff'ffff'ff60'1000));
  record.offset = 0xffff'ffff'f000;
  record.inode = UINT64_MAX;
  record.device = {.major = 0xfff, .minor = 0xfffff};
  record.path = "x";
  std::string text;
  AppendMapsLine(record, text);
  EXPECT_EQ(text,
            "ffffffffff600000-ffffffffff601000 ---p fffffffff000 fff:fffff 18446744073709551615  "
            "x\n");
}

// -- Smaps ----------------------------------------------------------------------------------------

/// One mapping in the middle of reserved space, in this process and in an Mm at the same address.
class SmapsTextTest : public MmTest {
 protected:
  static constexpr uint64_t kPages = 16;

  void SetUp() override {
    void* const space =
        mmap(nullptr, Pages(kPages + 2), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(space, MAP_FAILED);
    space_ = static_cast<char*>(space);
    bytes_ = space_ + kPageSize;
  }
  void TearDown() override {
    munmap(space_, Pages(kPages + 2));
    MmTest::TearDown();
  }

  [[nodiscard]] VirtAddr Address() const {
    return VirtAddr(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(bytes_)));
  }
  void MapBoth(uint64_t prot, uint64_t flags) {
    ASSERT_EQ(mmap(bytes_, Pages(kPages), static_cast<int>(prot),
                   static_cast<int>(flags | kMapAnonymous | kMapFixed), -1, 0),
              bytes_);
    ASSERT_EQ(Why(mm().Mmap({.addr = Address(),
                             .length = Pages(kPages),
                             .prot = prot,
                             .flags = flags | kMapAnonymous | kMapFixed})),
              "ok");
  }
  void WriteBoth(uint64_t page) {
    bytes_[page * kPageSize] = 1;
    ASSERT_EQ(Why(mm().Write(Address() + page * kPageSize, 1)), "ok");
  }
  void ReadBoth(uint64_t page) {
    (void)*static_cast<volatile char*>(bytes_ + page * kPageSize);
    (void)WordAt(mm(), Address() + page * kPageSize);
  }
  void AdviseBoth(int advice) {
    ASSERT_EQ(madvise(bytes_, Pages(kPages), advice), 0);
    ASSERT_EQ(Why(mm().Madvise(Address(), Pages(kPages), advice)), "ok");
  }
  /// Compares the paragraphs; from the second line on where the first has an inode of the kernel's.
  enum class Lines : uint8_t { kAll, kBehindTheFirst };
  void Compare(Lines lines = Lines::kAll) {
    std::vector<std::string> kernel = KernelParagraph();
    ASSERT_FALSE(kernel.empty());
    std::string text;
    for (const SmapsRecord& record : AllSmaps(mm(), ReadMode::kWholeLock)) {
      AppendSmaps(record, text);
    }
    std::vector<std::string> ours = LinesOf(text);
    if (lines == Lines::kBehindTheFirst) {
      kernel.erase(kernel.begin());
      ours.erase(ours.begin());
    }
    EXPECT_EQ(ours, kernel);
  }

 private:
  static std::vector<std::string> LinesOf(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  [[nodiscard]] std::vector<std::string> KernelParagraph() const {
    std::vector<std::string> lines;
    std::ifstream smaps("/proc/self/smaps");
    const std::string head = absl::StrCat(absl::Hex(Address().value()), "-");
    bool is_ours = false;
    for (std::string line; std::getline(smaps, line);) {
      const bool is_head = line.find(" kB") == std::string::npos &&
                           line.find(':') > line.find(' ') && line.find('-') < line.find(' ');
      if (is_head) is_ours = line.starts_with(head);
      if (!is_ours || line.starts_with("ProtectionKey")) continue;
      lines.push_back(absl::StrReplaceAll(line, {{" sd ", " "}}));
    }
    return lines;
  }

  char* space_ = nullptr;
  char* bytes_ = nullptr;
};

TEST_F(SmapsTextTest, PrivateMemoryIsPrintedAsByTheKernel) {
  MapBoth(kRw, kMapPrivate);
  Compare();
  for (const uint64_t page : {0u, 3u, 4u}) WriteBoth(page);
  ReadBoth(7);
  Compare();
}

TEST_F(SmapsTextTest, LockedMemoryIsPrintedAsByTheKernel) {
  MapBoth(kRw, kMapPrivate);
  if (mlock2(reinterpret_cast<void*>(Address().value()), Pages(kPages), MLOCK_ONFAULT) != 0) {
    GTEST_SKIP() << "nothing may be locked: " << std::strerror(errno);
  }
  ASSERT_EQ(Why(mm().Mlock2(Address(), Pages(kPages), kMlockOnFault)), "ok");
  WriteBoth(5);
  Compare();
}

TEST_F(SmapsTextTest, FlagsAreNamedAsByTheKernel) {
  MapBoth(kR | kProtExec, kMapPrivate | kMapNoReserve);
  for (const int advice : {kMadvSequential, kMadvDontFork, kMadvDontDump, kMadvNoHugePage}) {
    AdviseBoth(advice);
  }
  Compare();
  AdviseBoth(kMadvWipeOnFork);
  AdviseBoth(kMadvRandom);
  Compare();
}

TEST_F(SmapsTextTest, InaccessibleMemoryIsPrintedAsByTheKernel) {
  MapBoth(kNone, kMapPrivate | kMapNoReserve);
  Compare();
}

TEST_F(SmapsTextTest, SharedMemoryIsPrintedAsByTheKernel) {
  MapBoth(kRw, kMapShared);
  WriteBoth(0);
  ReadBoth(5);
  Compare(Lines::kBehindTheFirst);
}

TEST(RollupTextTest, SaysWhatTheKernelSaysInItsColumns) {
  SmapsRollup rollup;
  rollup.range = VirtRange(VirtAddr(0x557e'24b5'5000), VirtAddr(0x7fff'797a'6000));
  rollup.residency.rss = 1772 << 10;
  rollup.residency.pss.Add(271 << 10, 1);
  rollup.residency.private_dirty = 112 << 10;
  std::string text;
  AppendSmapsRollup(rollup, text);
  EXPECT_EQ(text,
            R"(557e24b55000-7fff797a6000 ---p 00000000 00:00 0                          [rollup]
Rss:                1772 kB
Pss:                 271 kB
Pss_Dirty:             0 kB
Pss_Anon:              0 kB
Pss_File:              0 kB
Pss_Shmem:             0 kB
Shared_Clean:          0 kB
Shared_Dirty:          0 kB
Private_Clean:         0 kB
Private_Dirty:       112 kB
Referenced:            0 kB
Anonymous:             0 kB
KSM:                   0 kB
LazyFree:              0 kB
AnonHugePages:         0 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:         0 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
SwapPss:               0 kB
Locked:                0 kB
)");
}

TEST(RollupTextTest, HasTheLinesThatTheKernelHas) {
  std::string ours;
  AppendSmapsRollup({}, ours);
  std::istringstream lines(ours);
  std::ifstream kernel("/proc/self/smaps_rollup");
  std::string line;
  std::string expected;
  ASSERT_TRUE(std::getline(lines, line) && std::getline(kernel, expected));
  EXPECT_EQ(line.find("[rollup]"), expected.find("[rollup]"));
  EXPECT_NE(expected.find(" ---p 00000000 00:00 0 "), std::string::npos) << expected;
  while (std::getline(lines, line)) {
    ASSERT_TRUE(std::getline(kernel, expected)) << line;
    EXPECT_EQ(line.substr(0, line.find(':')), expected.substr(0, expected.find(':')));
    EXPECT_EQ(line.size(), expected.size());
  }
  EXPECT_FALSE(std::getline(kernel, expected)) << expected;
}

}  // namespace
}  // namespace faultline
