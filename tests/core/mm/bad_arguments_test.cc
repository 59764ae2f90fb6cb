// SPDX-License-Identifier: Apache-2.0
//
// Golden tables: what the running kernel (6.18, x86-64) answers to bad arguments of each call. One
// row is one call on the memory that Prepare sets up; the table says the error's name, or "ok".

#include <functional>
#include <string>
#include <vector>

#include "tests/core/mm/mm_fixture.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kTaskSize = 0x7fff'ffff'f000;
constexpr uint64_t kMinus4096 = -uint64_t{4096};
constexpr uint64_t kMinus1 = UINT64_MAX;

struct Row {
  const char* what;
  std::function<std::string()> call;
  const char* expected;
};

class BadArgumentsTest : public MmTest {
 protected:
  static MmOptions WithoutRawIo() {
    MmOptions options;
    options.can_raw_io = false;
    return options;
  }
  BadArgumentsTest() : MmTest(WithoutRawIo()), file_(world().NewFile(4)) { Prepare(); }

  /// 0-4 rw; 6-8 sealed r; 10-14 shared; 16-18 file, read-only descriptor; 20-24 locked; 26 none;
  /// 30-34 droppable; 40-44 file of which two pages exist; 50-52 stack far from others.
  void Prepare() {
    Map(0, 4);
    Map(6, 2, kR);
    ASSERT_EQ(Why(mm().Mseal(At(6), Pages(2), 0)), "ok");
    Map(10, 4, kRw, kSharedAnonFixed);
    MapFile(16, 2, file_, 0, kR, kMapShared, /*writable=*/false);
    Map(20, 4);
    ASSERT_EQ(Why(mm().Mlock(At(20), Pages(4))), "ok");
    Map(26, 1, kNone);
    Map(30, 4, kRw, kMapDroppable | kMapAnonymous | kMapFixed);
    MapFile(40, 4, file_, 2);
    Map(5000, 2, kRw, kAnonFixed | kMapGrowsDown);
  }
  static void Expect(const std::vector<Row>& table) {
    for (const Row& row : table) EXPECT_EQ(row.call(), row.expected) << row.what;
  }

  /// A row for mmap.
  Row Maps(const char* what, MmapArgs args, const char* expected) {
    return {what, [this, args] { return Why(mm().Mmap(args)); }, expected};
  }
  Mapping& file_;
};

TEST_F(BadArgumentsTest, OfMmap) {
  constexpr uint64_t kAnon = kMapPrivate | kMapAnonymous;
  Mapping* const file = &file_;
  const VirtAddr free = At(100);
  Expect({
      Maps("length 0", {.length = 0, .flags = kAnon}, "EINVAL"),
      Maps("unaligned, fixed", {.addr = free + 1, .length = 4096, .flags = kAnonFixed}, "EINVAL"),
      Maps("unaligned, no replace",
           {.addr = free + 1, .length = 4096, .flags = kAnon | kMapFixedNoReplace}, "EINVAL"),
      Maps("type 0", {.length = 4096, .flags = kMapAnonymous}, "EINVAL"),
      Maps("type 4", {.length = 4096, .flags = kMapAnonymous | 4}, "EINVAL"),
      Maps("validate, anonymous", {.length = 4096, .flags = kMapAnonymous | kMapSharedValidate},
           "EINVAL"),
      Maps("droppable file", {.length = 4096, .flags = kMapDroppable, .file = file}, "EINVAL"),
      Maps("droppable locked",
           {.length = 4096, .flags = kMapDroppable | kMapAnonymous | kMapLocked}, "EINVAL"),
      Maps("droppable stack",
           {.length = 4096, .flags = kMapDroppable | kMapAnonymous | kMapGrowsDown}, "EINVAL"),
      Maps("shared stack", {.length = 4096, .flags = kMapShared | kMapAnonymous | kMapGrowsDown},
           "EINVAL"),
      Maps("file as a stack", {.length = 4096, .flags = kMapPrivate | kMapGrowsDown, .file = file},
           "EINVAL"),
      Maps("unaligned offset comes before no file",
           {.length = 4096, .flags = kMapPrivate, .offset = 1}, "EINVAL"),
      Maps("no file", {.length = 4096, .flags = kMapPrivate}, "EBADF"),
      Maps("fixed past the end",
           {.addr = VirtAddr(kTaskSize - 4096), .length = 8192, .flags = kAnonFixed}, "ENOMEM"),
      Maps("fixed that wraps", {.addr = VirtAddr(kMinus4096), .length = 8192, .flags = kAnonFixed},
           "ENOMEM"),
      Maps("length -1", {.length = kMinus1, .flags = kAnon}, "ENOMEM"),
      Maps("length -4096", {.length = kMinus4096, .flags = kAnon}, "ENOMEM"),
      Maps("all of the space", {.length = kTaskSize, .flags = kAnon}, "ENOMEM"),
      Maps("no replace on a mapping",
           {.addr = At(2), .length = 4096, .flags = kAnon | kMapFixedNoReplace}, "EEXIST"),
      Maps("offset too large",
           {.length = 4096, .flags = kMapPrivate, .file = file, .offset = (1ull << 63) - 4096},
           "EOVERFLOW"),
      Maps("offset and length too large",
           {.length = 8192, .flags = kMapPrivate, .file = file, .offset = (1ull << 63) - 8192},
           "EOVERFLOW"),
      Maps("largest offset",
           {.length = 4096, .flags = kMapPrivate, .file = file, .offset = (1ull << 63) - 8192},
           "ok"),
      Maps("validate, unknown flag",
           {.length = 4096, .flags = kMapSharedValidate | 0x1000'0000, .file = file}, "EOPNOTSUPP"),
      Maps("validate, sync", {.length = 4096, .flags = kMapSharedValidate | kMapSync, .file = file},
           "EOPNOTSUPP"),
      Maps("writing what was opened for reading",
           {.length = 4096, .prot = kRw, .flags = kMapShared, .file = file, .file_writable = false},
           "EACCES"),
      Maps("at 0", {.addr = VirtAddr(0), .length = 4096, .flags = kAnonFixed}, "EPERM"),
      Maps("over sealed memory", {.addr = At(5), .length = 8192, .flags = kAnonFixed}, "EPERM"),
  });
}

TEST_F(BadArgumentsTest, OfMunmap) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t length, const char* expected) {
    return Row{what, [=, this] { return Why(mm().Munmap(addr, length)); }, expected};
  };
  Expect({row("unaligned", At(0) + 1, 4096, "EINVAL"), row("length 0", At(0), 0, "EINVAL"),
          row("length -1", At(0), kMinus1, "EINVAL"),
          row("length -4096", At(0), kMinus4096, "EINVAL"),
          row("past the end", VirtAddr(kTaskSize - 4096), 8192, "EINVAL"),
          row("a hole", At(100), 4096, "ok"), row("sealed", At(5), 8192, "EPERM")});
}

TEST_F(BadArgumentsTest, OfMprotect) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t length, uint64_t prot,
                          const char* expected) {
    return Row{what, [=, this] { return Why(mm().Mprotect(addr, length, prot)); }, expected};
  };
  Expect({row("unaligned", At(0) + 1, 4096, kR, "EINVAL"),
          row("both directions, nothing", At(0), 0, kProtGrowsDown | kProtGrowsUp, "EINVAL"),
          row("unknown right", At(0), 4096, 0x10, "EINVAL"),
          row("grows down, no stack", At(0), 4096, kR | kProtGrowsDown, "EINVAL"),
          row("grows up", At(0), 4096, kR | kProtGrowsUp, "EINVAL"),
          row("grows down, a stack", At(5001), 4096, kR | kProtGrowsDown, "ok"),
          row("length 0", At(0), 0, kR, "ok"), row("length -1", At(0), kMinus1, kR, "ENOMEM"),
          row("length -4096", At(0), kMinus4096, kR, "ENOMEM"),
          row("wraps", VirtAddr(kMinus4096), 8192, kR, "ENOMEM"),
          row("a hole", At(100), 4096, kR, "ENOMEM"),
          row("writing a read-only file", At(16), 4096, kRw, "EACCES"),
          row("sealed", At(6), 4096, kNone, "EPERM")});
}

TEST_F(BadArgumentsTest, OfMremap) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t old_length, uint64_t new_length,
                          uint64_t flags, VirtAddr to, const char* expected) {
    return Row{what,
               [=, this] { return Why(mm().Mremap(addr, old_length, new_length, flags, to)); },
               expected};
  };
  constexpr uint64_t kTo = kMremapMayMove | kMremapFixed;
  const VirtAddr to = At(200);
  Expect({
      row("unaligned", At(0) + 1, 4096, 4096, 0, to, "EINVAL"),
      row("unknown flag", At(0), 4096, 4096, 8, to, "EINVAL"),
      row("fixed, may not move", At(0), 4096, 4096, kMremapFixed, to, "EINVAL"),
      row("dontunmap, may not move", At(0), 4096, 4096, kMremapDontUnmap, to, "EINVAL"),
      row("dontunmap, other length", At(0), 4096, 8192, kTo | kMremapDontUnmap, to, "EINVAL"),
      row("new length 0", At(0), 4096, 0, 0, to, "EINVAL"),
      row("new length -1", At(0), 4096, kMinus1, 0, to, "EINVAL"),
      row("new length past the space", At(0), 4096, kTaskSize + 4096, 0, to, "EINVAL"),
      row("target unaligned", At(0), 4096, 4096, kTo, to + 1, "EINVAL"),
      row("target past the end", At(0), 8192, 8192, kTo, VirtAddr(kTaskSize - 4096), "EINVAL"),
      row("target overlaps", At(0), 8192, 8192, kTo, At(1), "EINVAL"),
      row("old length 0, private", At(0), 0, 4096, kMremapMayMove, to, "EINVAL"),
      row("growth is blocked", At(0), 4096, 8192, 0, to, "ENOMEM"),
      row("starts in a hole", At(100), 4096, 8192, kMremapMayMove, to, "EFAULT"),
      row("grows from behind the end", At(2), Pages(3), Pages(5), kMremapMayMove, to, "EFAULT"),
      row("target 0", At(0), 4096, 4096, kTo, VirtAddr(0), "EPERM"),
      row("sealed", At(6), 4096, 4096, kTo, to, "EPERM"),
  });
}

TEST_F(BadArgumentsTest, OfMadvise) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t length, int advice,
                          const char* expected) {
    return Row{what, [=, this] { return Why(mm().Madvise(addr, length, advice)); }, expected};
  };
  std::vector<Row> table = {
      row("unaligned", At(0) + 1, 4096, kMadvNormal, "EINVAL"),
      row("unknown, nothing", At(0), 0, 77, "EINVAL"),
      row("length -1", At(0), kMinus1, kMadvNormal, "EINVAL"),
      row("wraps", VirtAddr(kMinus4096), 8192, kMadvNormal, "EINVAL"),
      row("free, shared", At(10), 4096, kMadvFree, "EINVAL"),
      row("free, file", At(40), 4096, kMadvFree, "EINVAL"),
      row("wipe, shared", At(10), 4096, kMadvWipeOnFork, "EINVAL"),
      row("wipe, file", At(40), 4096, kMadvWipeOnFork, "EINVAL"),
      row("dump, droppable", At(30), 4096, kMadvDoDump, "EINVAL"),
      row("keep, droppable", At(30), 4096, kMadvKeepOnFork, "EINVAL"),
      row("populate without a right", At(26), 4096, kMadvPopulateRead, "EINVAL"),
      row("populate for writing, read only", At(16), 4096, kMadvPopulateWrite, "EINVAL"),
      row("populate behind the end", At(42), 4096, kMadvPopulateRead, "EFAULT"),
      row("hole", At(100), 4096, kMadvNormal, "ENOMEM"),
      row("dontneed, locked, their own advice", At(20), 4096, kMadvDontNeedLocked, "ok"),
      row("guard", At(0), 4096, kMadvGuardInstall, "ok"),
      row("populate over a guard", At(0), 4096, kMadvPopulateRead, "EFAULT"),
  };
  for (const int advice : {kMadvDontNeed, kMadvFree, kMadvCold, kMadvPageOut, kMadvGuardInstall}) {
    table.push_back(row("locked", At(20), 4096, advice, "EINVAL"));
  }
  for (const int advice : {kMadvDontNeed, kMadvDontNeedLocked, kMadvFree, kMadvDontFork,
                           kMadvWipeOnFork, kMadvGuardInstall}) {
    table.push_back(row("sealed and read-only", At(6), 4096, advice, "EPERM"));
  }
  Expect(table);
}

TEST_F(BadArgumentsTest, OfMseal) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t length, uint64_t flags,
                          const char* expected) {
    return Row{what, [=, this] { return Why(mm().Mseal(addr, length, flags)); }, expected};
  };
  Expect({row("flags", At(0), 4096, 1, "EINVAL"), row("unaligned", At(0) + 1, 4096, 0, "EINVAL"),
          row("length -1", At(0), kMinus1, 0, "EINVAL"), row("hole", At(100), 4096, 0, "ENOMEM"),
          row("hole at the end", At(2), Pages(3), 0, "ENOMEM"), row("nothing", At(0), 0, 0, "ok")});
  EXPECT_EQ(Why(mm().Munmap(At(2), Pages(2))), "ok") << "a hole keeps all from being sealed";
}

TEST_F(BadArgumentsTest, OfMlock) {
  const auto row = [this](const char* what, VirtAddr addr, uint64_t length, const char* expected) {
    return Row{what, [=, this] { return Why(mm().Mlock(addr, length)); }, expected};
  };
  Expect({row("unaligned", At(0) + 1, 4096, "ok"),
          row("length -1", At(0), kMinus1, "ok"),
          row("length -4096", At(0), kMinus4096, "EINVAL"),
          row("hole", At(100), 4096, "ENOMEM"),
          row("no access", At(26), 4096, "ENOMEM"),
          {"mlock2 flags", [this] { return Why(mm().Mlock2(At(0), 4096, 2)); }, "EINVAL"}});
  for (const uint64_t flags : {0, 4, 8, 9}) {
    EXPECT_EQ(Why(mm().Mlockall(flags)), "EINVAL") << flags;
  }
}

}  // namespace
}  // namespace faultline
