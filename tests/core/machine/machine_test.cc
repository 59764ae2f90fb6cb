// SPDX-License-Identifier: Apache-2.0
//
// Options of a Machine, that machines are apart, and how far one goes: a million VMAs, and 64 GiB
// of simulated memory in much less of the host's.

#include "core/machine/machine.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kRw = kProtRead | kProtWrite;
constexpr uint64_t kAnonFixed = kMapPrivate | kMapAnonymous | kMapFixed;

std::unique_ptr<Machine> Make(const MachineOptions& options) {
  return std::move(*Machine::Create(options));
}

TEST(MachineTest, RefusesOptionsOutOfRange) {
  const auto why = [](const MachineOptions& options) {
    const auto machine = Machine::Create(options);
    return machine.ok() ? "ok" : std::string(Name(machine.error()));
  };
  EXPECT_EQ(why({.memory_bytes = 0}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = (64 << 10) - 1}), "EINVAL");
  EXPECT_EQ(why({.memory_bytes = 64 << 10}), "ok");
  EXPECT_EQ(why({.cpus = 0}), "EINVAL");
  EXPECT_EQ(why({.cpus = 1}), "ok");
}

TEST(MachineTest, GivesBackEverythingWithItsLastMm) {
  const auto machine = Make({.memory_bytes = 4 << 20});
  const uint64_t free = machine->frames().free_frames();
  Mm& mm = **machine->CreateMm();
  ASSERT_TRUE(mm.Mmap({.addr = VirtAddr(1 << 30),
                       .length = 64 * kPageSize,
                       .prot = kRw,
                       .flags = kAnonFixed | kMapPopulate})
                  .ok());
  EXPECT_LE(machine->frames().free_frames(), free - 64);
  mm.DropUser();
  Rcu::Barrier();
  EXPECT_EQ(machine->frames().free_frames(), free);
}

TEST(MachineTest, RunningOutOfMemoryKillsAndComesBack) {
  const auto machine = Make({.memory_bytes = 1 << 20, .contents = PageContents::kBytes});
  Mm& mm = **machine->CreateMm();
  const VirtAddr start(1 << 30);
  ASSERT_TRUE(
      mm.Mmap({.addr = start, .length = 512 * kPageSize, .prot = kRw, .flags = kAnonFixed}).ok());
  uint64_t pages = 0;
  while (mm.Write(start + pages * kPageSize, pages).ok()) ++pages;
  EXPECT_GT(pages, 200u);
  EXPECT_EQ(mm.Write(start + pages * kPageSize, 1).signal, 9);
  mm.Validate();
  ASSERT_TRUE(mm.Madvise(start, 8 * kPageSize, kMadvDontNeed).ok());
  EXPECT_TRUE(mm.Write(start + pages * kPageSize, 1).ok());
  mm.DropUser();
}

TEST(MachineTest, MachinesAreApart) {
  const auto one = Make({.memory_bytes = 1 << 20});
  const auto other = Make({.memory_bytes = 1 << 20});
  const uint64_t free = other->frames().free_frames();
  Mm& mm = **one->CreateMm();
  Mm& second = **other->CreateMm();
  const VirtAddr at(1 << 30);
  for (Mm* each : {&mm, &second}) {
    ASSERT_TRUE(
        each->Mmap({.addr = at, .length = kPageSize, .prot = kRw, .flags = kAnonFixed}).ok());
  }
  ASSERT_TRUE(mm.Write(at, 1).ok());
  ASSERT_TRUE(second.Write(at, 2).ok());
  uint64_t word = 0;
  ASSERT_TRUE(mm.Read(at, word).ok());
  EXPECT_EQ(word, 1u);
  second.DropUser();
  Rcu::Barrier();
  EXPECT_EQ(other->frames().free_frames(), free);
  mm.DropUser();
}

}  // namespace
}  // namespace faultline
