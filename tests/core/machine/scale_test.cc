// SPDX-License-Identifier: Apache-2.0
//
// How far a machine goes: a million VMAs, and 64 GiB of simulated memory touched here and there in
// at most 2 GiB of the host's.

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "core/machine/machine.h"

namespace faultline {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

constexpr uint64_t kRw = kProtRead | kProtWrite;
constexpr uint64_t kAnonFixed = kMapPrivate | kMapAnonymous | kMapFixed;

/// What this process has in memory.
uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0;
  uint64_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(MachineScaleTest, AMillionVmas) {
  constexpr uint64_t kVmas = 1'000'000;
  const auto machine = std::move(*Machine::Create({.memory_bytes = 64 << 20}));
  MmOptions options;
  options.max_map_count = 2 * kVmas;
  Mm& mm = **machine->CreateMm(options);
  const VirtAddr start(1ull << 40);
  for (uint64_t i = 0; i < kVmas; ++i) {
    ASSERT_TRUE(mm.Mmap({.addr = start + 2 * i * kPageSize,
                         .length = kPageSize,
                         .prot = kRw,
                         .flags = kAnonFixed})
                    .ok());
  }
  EXPECT_EQ(mm.map_count(), kVmas);
  mm.Validate();
  ASSERT_TRUE(mm.Write(start + kVmas * kPageSize, 5).ok());
  ASSERT_TRUE(mm.Munmap(start + kPageSize, kVmas * kPageSize).ok());
  EXPECT_EQ(mm.map_count(), kVmas / 2);
  mm.Validate();
  mm.DropUser();
}

TEST(MachineScaleTest, SixtyFourGibTouchedSparselyFitTwo) {
  constexpr uint64_t kMemory = 64ull << 30;
  constexpr uint64_t kDensePages = 8'000'000;
  const uint64_t before = ResidentBytes();
  const auto machine = std::move(*Machine::Create({.memory_bytes = kMemory}));
  Mm& mm = **machine->CreateMm();
  const VirtAddr start(1ull << 40);
  ASSERT_TRUE(
      mm.Mmap({.addr = start, .length = kMemory, .prot = kRw, .flags = kAnonFixed | kMapNoReserve})
          .ok());
  // A page of each 2 MiB costs a table, which is real; dense pages cost their Folio.
  uint64_t touched = 0;
  for (uint64_t at = 0; at < kMemory; at += kPmdSize, ++touched) {
    ASSERT_TRUE(mm.Write(start + at, at).ok());
  }
  for (uint64_t page = 0; page < kDensePages; ++page) {
    ASSERT_TRUE(mm.Write(start + page * kPageSize, page + 1).ok());
  }
  touched += kDensePages - kDensePages / kPagesPerPmd;
  EXPECT_EQ(static_cast<uint64_t>(mm.counters().Sum(MmCounter::kAnonPages)), touched);
  uint64_t word = 0;
  ASSERT_TRUE(mm.Read(start + (kDensePages - 1) * kPageSize, word).ok());
  EXPECT_EQ(word, kDensePages);
  ASSERT_TRUE(mm.Read(start + (kMemory - kPmdSize), word).ok());
  EXPECT_EQ(word, kMemory - kPmdSize);
  const uint64_t cost = ResidentBytes() - before;
  RecordProperty("bytes", std::to_string(cost));
  RecordProperty("pages", std::to_string(touched));
  EXPECT_LE(cost, 2ull << 30);
  mm.Validate();
  mm.DropUser();
}

}  // namespace
}  // namespace faultline
