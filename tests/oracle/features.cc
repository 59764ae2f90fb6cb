// SPDX-License-Identifier: Apache-2.0
//
// Each probe is the smallest call that only a kernel with the feature answers well. They run in a
// child, for a sealed mapping could not be taken away again.
#include "tests/oracle/features.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <new>

#include "tests/oracle/abi.h"
#include "tests/oracle/arena.h"
#include "tests/oracle/die.h"

namespace faultline::oracle {
namespace {

constexpr int kPrivateAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;

void* Map(size_t pages, int flags = kPrivateAnonymous) {
  return mmap(nullptr, pages * kPageSize, PROT_READ | PROT_WRITE, flags, -1, 0);
}

bool Advise(uint64_t advice) {
  return madvise(Map(2), 2 * kPageSize, static_cast<int>(advice)) == 0;
}

bool GuardShowsInPagemap() {
  void* page = Map(1);
  if (madvise(page, kPageSize, static_cast<int>(kMadvGuardInstall)) != 0) return false;
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t entry = 0;
  const auto offset = static_cast<off_t>(reinterpret_cast<uint64_t>(page) / kPageSize * 8);
  const bool ok = fd >= 0 && pread(fd, &entry, sizeof(entry), offset) == sizeof(entry);
  if (fd >= 0) close(fd);
  return ok && (entry & (uint64_t{1} << 58)) != 0;
}

bool MovesAndKeeps() {
  void* shared = Map(1, MAP_SHARED | MAP_ANONYMOUS);
  // The C library passes a new address of its own making unless MREMAP_FIXED asks for one.
  return syscall(SYS_mremap, shared, kPageSize, kPageSize, MREMAP_MAYMOVE | kMremapDontunmap, 0) >
         0;
}

bool SomethingToSwapTo() {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);  // the heading
  return static_cast<bool>(std::getline(swaps, line));
}

bool KsmIsIdle() {
  std::ifstream file("/sys/kernel/mm/ksm/run");
  int running = 1;
  file >> running;
  return file && running == 0;
}

/// A sanitizer's shadow memory is most of the address space: locked, it would fill the machine.
bool LockingAllIsSane() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages;
  constexpr uint64_t kMaxBytes = uint64_t{1} << 30;
  return file && pages * kPageSize <= kMaxBytes && mlockall(MCL_CURRENT) == 0;
}

uint64_t ReadNumber(const char* path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : otherwise;
}

bool CanLock() {
  const __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  return syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> CAP_IPC_LOCK & 1) != 0;
}

bool HasCpuFlag(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  std::string word;
  while (file >> word) {
    if (word == flag) return true;
  }
  return false;
}

Features Probe() {
  return {
      .guard_regions = Advise(kMadvGuardInstall),
      .guard_in_pagemap = GuardShowsInPagemap(),
      .mseal = syscall(kSysMseal, Map(1), kPageSize, 0) == 0,
      .droppable = Map(1, static_cast<int>(kMapDroppable) | MAP_ANONYMOUS) != MAP_FAILED,
      .dontunmap = MovesAndKeeps(),
      .populate_advice = Advise(kMadvPopulateRead),
      .dontneed_locked = Advise(kMadvDontneedLocked),
      .ksm = Advise(kMadvMergeable) && KsmIsIdle(),
      .huge_pages = Advise(kMadvHugepage),
      .swap = SomethingToSwapTo(),
      .lock_all = LockingAllIsSane(),
  };
}

}  // namespace

Features ProbeFeatures() {
  void* memory = Map(1, MAP_SHARED | MAP_ANONYMOUS);
  if (memory == MAP_FAILED) DieErrno("no shared memory");
  auto* probed = new (memory) Features;
  const pid_t pid = fork();
  if (pid < 0) DieErrno("cannot fork");
  if (pid == 0) {
    *probed = Probe();
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
  const Features features = *probed;
  munmap(memory, kPageSize);
  return features;
}

namespace {

/// A hint below the lowest place is rounded up to it. Nothing is mapped down there.
uint64_t LowestPlace() {
  void* const hint = reinterpret_cast<void*>(kPageSize);
  void* const memory = mmap(hint, kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) DieErrno("cannot map a page");
  munmap(memory, kPageSize);
  return reinterpret_cast<uint64_t>(memory);
}

}  // namespace

HostLimits ReadHostLimits() {
  HostLimits limits;
  limits.dac_mmap_min_addr = ReadNumber("/proc/sys/vm/mmap_min_addr", limits.dac_mmap_min_addr);
  limits.mmap_min_addr = LowestPlace();
  limits.max_map_count = ReadNumber("/proc/sys/vm/max_map_count", limits.max_map_count);
  limits.overcommit_heuristic = ReadNumber("/proc/sys/vm/overcommit_memory", 0) == 0;
  struct sysinfo info = {};
  if (sysinfo(&info) != 0) DieErrno("sysinfo");
  limits.memory_pages = (info.totalram + info.totalswap) * info.mem_unit / kPageSize;
  limits.can_lock = CanLock();
  limits.execute_only_keys = HasCpuFlag("ospke");
  return limits;
}

std::vector<std::string> Features::LeftOut() const {
  std::vector<std::string> names;
  const auto add_unless = [&names](bool has, const char* name) {
    if (!has) names.emplace_back(name);
  };
  add_unless(guard_regions, "guard regions");
  add_unless(guard_in_pagemap || !guard_regions, "guard regions in pagemap");
  add_unless(mseal, "mseal");
  add_unless(droppable, "MAP_DROPPABLE");
  add_unless(dontunmap, "MREMAP_DONTUNMAP");
  add_unless(populate_advice, "MADV_POPULATE_*");
  add_unless(dontneed_locked, "MADV_DONTNEED_LOCKED");
  add_unless(ksm, "MADV_MERGEABLE");
  add_unless(huge_pages, "MADV_HUGEPAGE");
  add_unless(!swap, "MADV_PAGEOUT (there is swap)");
  add_unless(lock_all, "mlockall");
  return names;
}

}  // namespace faultline::oracle
