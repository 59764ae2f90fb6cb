// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_world.h.
#include "tests/bench/fault_world.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace faultline::bench {
namespace {

constexpr VirtAddr kOurBase{0x1000'0000'0000};
constexpr uint64_t kKernelSpan = 256ull << 30;  ///< room that offsets have in this process
constexpr uint64_t kLookAtOverEach = 64;        ///< touches

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

bool GivesHugePagesUnasked() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string text;
  std::getline(file, text);
  return text.find("[always]") != std::string::npos;
}

/// Touches until `over`; `touch` returns whether the fault ended well.
template <class Touch>
Touched TouchEach(const Touches& touches, const std::atomic<bool>& over, const Touch& touch) {
  Touched touched;
  uint64_t offset = touches.offset;
  for (; touched.done < touches.count; ++touched.done, offset += touches.stride) {
    // relaxed: nothing but the flag itself is passed
    if (touched.done % kLookAtOverEach == 0 && over.load(std::memory_order_relaxed)) break;
    if (!touch(offset)) ++touched.failed;
  }
  return touched;
}

}  // namespace

void OurWorld::Map(uint64_t offset, uint64_t bytes) {
  const auto mapped =
      mm_.Mmap({.addr = kOurBase + offset,
                .length = bytes,
                .prot = abi::kProtRead | abi::kProtWrite,
                .flags = abi::kMapPrivate | abi::kMapAnonymous | abi::kMapFixedNoReplace});
  if (!mapped.ok()) Fail("mmap of an mm");
}

void OurWorld::Unmap(uint64_t offset, uint64_t bytes) {
  if (!mm_.Munmap(kOurBase + offset, bytes).ok()) Fail("munmap of an mm");
}

Touched OurWorld::WriteFaults(const Touches& touches, const std::atomic<bool>& over) {
  return TouchEach(touches, over, [this](uint64_t offset) {
    return mm_.Fault({.addr = kOurBase + offset, .access = AccessKind::kWrite}).ok();
  });
}

void OurWorld::Settle() { Rcu::Barrier(); }

uint64_t OurWorld::ReclaimEntries() {
  return static_cast<uint64_t>(machine_.frames().events().Sum(AllocEvent::kAllocstall));
}

KernelWorld::KernelWorld() : refuse_huge_pages_(GivesHugePagesUnasked()) {
  // Finds a place; what is in it afterwards is up to Map.
  void* const place =
      mmap(nullptr, kKernelSpan, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) Fail("mmap");
  if (munmap(place, kKernelSpan) != 0) Fail("munmap");
  constexpr uint64_t kAlignment = 1ull << 30;  // as for ours: no table is shared by accident
  base_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(place) + kAlignment - 1) /
                                  kAlignment * kAlignment);
}

void KernelWorld::Map(uint64_t offset, uint64_t bytes) {
  void* const memory = mmap(base_ + offset, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  if (refuse_huge_pages_ && madvise(memory, bytes, MADV_NOHUGEPAGE) != 0) Fail("madvise");
}

void KernelWorld::Unmap(uint64_t offset, uint64_t bytes) {
  if (munmap(base_ + offset, bytes) != 0) Fail("munmap");
}

Touched KernelWorld::WriteFaults(const Touches& touches, const std::atomic<bool>& over) {
  return TouchEach(touches, over, [this](uint64_t offset) {
    *static_cast<volatile char*>(base_ + offset) = 1;
    return true;
  });
}

}  // namespace faultline::bench
