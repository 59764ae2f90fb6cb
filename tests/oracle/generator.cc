// SPDX-License-Identifier: Apache-2.0
//
// The weights are rules of thumb, tuned so that the areas stay about half full and most calls
// succeed: a state in which nothing is mapped finds nothing.
#include "tests/oracle/generator.h"

#include <linux/mman.h>
#include <sys/mman.h>

#include <algorithm>

#include "tests/oracle/abi.h"

namespace faultline::oracle {
namespace {

constexpr uint64_t kEdgeAddresses[] = {0, 0x1000, kTaskSize, 0x800000000000, ~0ull << 12};
constexpr uint64_t kEdgeLengths[] = {0, kTaskSize, 0x800000000000, ~0ull << 12, ~0ull, ~0ull << 63};

bool InStackArea(uint64_t address) {
  return kStackArea.start <= address && address < kStackArea.end;
}

template <typename T, size_t kSize>
const T& Pick(const T (&values)[kSize], uint64_t random) {
  return values[random % kSize];
}

}  // namespace

Generator::Generator(uint64_t seed, const Features& features) : features_(features), random_(seed) {
  const auto set = [this](OpKind kind, uint32_t weight) {
    weights_[static_cast<size_t>(kind)] = weight;
  };
  const auto maybe = [this, &set](OpKind kind, uint32_t weight, uint32_t percent) {
    set(kind, Chance(percent) ? weight : 0);
  };
  set(OpKind::kMmap, 160);
  maybe(OpKind::kMunmap, 60, 85);
  maybe(OpKind::kMprotect, 110, 80);
  maybe(OpKind::kMremap, 90, 70);
  maybe(OpKind::kMadvise, 150, 80);
  maybe(OpKind::kMseal, 4, features.mseal ? 15 : 0);
  maybe(OpKind::kMlock, 30, 50);
  maybe(OpKind::kMlock2, 25, 40);
  maybe(OpKind::kMunlock, 30, 50);
  maybe(OpKind::kMlockall, 1, features.lock_all ? 10 : 0);
  maybe(OpKind::kMunlockall, 2, 30);
  maybe(OpKind::kRead, 150, 90);
  maybe(OpKind::kWrite, 200, 90);
  maybe(OpKind::kFork, 6, 25);
  maybe(OpKind::kExit, 5, 100);
  if (Chance(60)) {
    const uint64_t pages = 8 + Below(40);
    const uint64_t middle = kMainArea.start + kMainArea.pages() / 2 * kPageSize;
    const uint64_t before = Below(pages + 1);
    main_ = {middle - before * kPageSize, middle + (pages - before) * kPageSize};
  }
  far_percent_ = Chance(50) ? 10 : 0;
  stack_percent_ = Chance(40) ? 12 : 0;
  edge_per_mille_ = Chance(70) ? 12 : 100;
}

Operation Generator::Next(const Duel& duel) {
  while (true) {
    const Operation op = Draw(duel);
    if (Allowed(op) && IsHarmless(op)) return op;
  }
}

Operation Generator::Draw(const Duel& duel) {
  Operation op;
  op.process = PickProcess(duel);
  op.kind = PickKind();
  if (op.kind == OpKind::kFork || op.kind == OpKind::kExit) {
    // The last process stays, and a fourth has no place.
    const int live = duel.live_count();
    if (op.kind == OpKind::kExit ? live == 1 : live == kMaxProcesses) op.kind = OpKind::kRead;
  }
  if (op.kind == OpKind::kFork) {
    while (duel.live(static_cast<int>(op.args[0]))) ++op.args[0];
    return op;
  }
  FillArguments(op, duel.snapshot(op.process));
  return op;
}

void Generator::FillArguments(Operation& op, const Snapshot& snapshot) {
  auto& args = op.args;
  switch (op.kind) {
    case OpKind::kMmap:
      FillMmap(op, snapshot);
      return;
    case OpKind::kMremap:
      FillMremap(op, snapshot);
      return;
    case OpKind::kRead:
      args[0] = PickAccess(snapshot);
      return;
    case OpKind::kWrite:
      args[0] = PickAccess(snapshot);
      args[1] = random_();
      return;
    case OpKind::kMlockall:
      args[0] = Below(PerMille(50) ? 20 : 8);
      return;
    case OpKind::kMunlockall:
    case OpKind::kFork:
    case OpKind::kBrk:
    case OpKind::kExit:
      return;
    default:
      break;
  }
  args[0] = PickAddress(snapshot);
  args[1] = PickLength(snapshot, args[0]);
  if (op.kind == OpKind::kMprotect) {
    args[2] = PickProt();
    if (InStackArea(args[0]) && Chance(15)) args[2] |= PROT_GROWSDOWN;
  }
  if (op.kind == OpKind::kMadvise) args[2] = PickAdvice();
  if (op.kind == OpKind::kMseal) args[2] = PerMille(50) ? 1 : 0;
  if (op.kind == OpKind::kMlock2) args[2] = PerMille(30) ? 2 : Below(2);
}

void Generator::FillMmap(Operation& op, const Snapshot& snapshot) {
  auto& args = op.args;
  args[0] = PickAddress(snapshot);
  args[1] = PickLength(snapshot, args[0]);
  args[2] = PickProt();
  args[3] = PickMapFlags();
  if (InStackArea(args[0]) && Chance(40)) args[3] |= MAP_GROWSDOWN;
  if ((args[3] & MAP_ANONYMOUS) != 0) {
    args[4] = kNoFile;
    if (PerMille(20)) args[5] = Below(8) * kPageSize;
  } else {
    args[4] = Chance(75) ? kFileFd : kReadOnlyFileFd;
    args[5] = Below(kFilePages + 4) * kPageSize;
    if (PerMille(10)) args[4] = Chance(50) ? kNoFile : 77;
  }
  if (PerMille(5)) args[5] |= 8;
  if (PerMille(5)) args[5] = Chance(50) ? ~0ull << 12 : uint64_t{1} << 63;
}

void Generator::FillMremap(Operation& op, const Snapshot& snapshot) {
  auto& args = op.args;
  args[0] = PickAddress(snapshot);
  args[1] = PerMille(60) ? 0 : PickLength(snapshot, args[0]);
  args[2] = Chance(40) ? args[1] : PickLength(snapshot, args[0]);
  if (Chance(20) && !snapshot.lines.empty()) {
    // All of a mapping, by a little: what can grow in place.
    const MapLine& line = snapshot.lines[Below(snapshot.lines.size())];
    args[0] = line.start;
    args[1] = line.end - line.start;
    args[2] = args[1] + (1 + Below(3)) * kPageSize;
  }
  const uint64_t shape = Below(100);
  if (shape < 15) {
    args[3] = 0;
  } else if (shape < 40) {
    args[3] = MREMAP_MAYMOVE;
  } else if (shape < 80) {
    args[3] = MREMAP_MAYMOVE | MREMAP_FIXED;
  } else if (shape < 85) {
    args[3] = MREMAP_MAYMOVE | kMremapDontunmap;
  } else if (shape < 95) {
    args[3] = MREMAP_MAYMOVE | MREMAP_FIXED | kMremapDontunmap;
  } else {
    args[3] = Below(16);
  }
  // Without MREMAP_FIXED the new address is a hint at most.
  args[4] = (args[3] & MREMAP_FIXED) != 0 || Chance(20) ? PickAddress(snapshot) : 0;
}

int Generator::PickProcess(const Duel& duel) {
  while (true) {
    const int process = static_cast<int>(Below(kMaxProcesses));
    if (duel.live(process)) return process;
  }
}

OpKind Generator::PickKind() {
  uint32_t sum = 0;
  for (const uint32_t weight : weights_) sum += weight;
  uint64_t at = Below(sum);
  for (int kind = 0; kind < kOpKinds; ++kind) {
    if (at < weights_[kind]) return static_cast<OpKind>(kind);
    at -= weights_[kind];
  }
  return OpKind::kRead;
}

uint64_t Generator::PickAddress(const Snapshot& snapshot) {
  uint64_t address = Chance(35) ? PickBoundary(snapshot) : PickPage();
  if (PerMille(edge_per_mille_)) {
    address = Chance(50) ? Pick(kEdgeAddresses, random_()) : address + 1 + Below(kPageSize - 1);
  }
  return address;
}

uint64_t Generator::PickAccess(const Snapshot& snapshot) {
  uint64_t address = PickAddress(snapshot) & ~uint64_t{7};
  // What an access below a growing stack finds depends on where the stack is.
  if (!snapshot.lines.empty() && (InStackArea(address) ? Chance(60) : Chance(5))) {
    address = PickBoundary(snapshot) - (1 + Below(4)) * kPageSize;
  }
  return PageAligned(address) && Chance(25) ? address + 8 * Below(512) : address;
}

uint64_t Generator::PickBoundary(const Snapshot& snapshot) {
  if (snapshot.lines.empty()) return PickPage();
  const MapLine& line = snapshot.lines[Below(snapshot.lines.size())];
  const uint64_t boundary = Chance(60) ? line.start : line.end;
  const uint64_t shift = Below(10);
  if (shift == 0) return boundary - kPageSize;
  return shift == 1 ? boundary + kPageSize : boundary;
}

uint64_t Generator::PickPage() {
  const uint64_t where = Below(100);
  if (where < far_percent_) return kFarArea.start + Below(kFarArea.pages()) * kPageSize;
  if (where < far_percent_ + stack_percent_) {
    // Near its end, so that a stack has something to grow into.
    return kStackArea.end - (1 + Below(Chance(70) ? 24 : kStackArea.pages())) * kPageSize;
  }
  return main_.start + Below(main_.pages()) * kPageSize;
}

uint64_t Generator::PickLength(const Snapshot& snapshot, uint64_t address) {
  if (PerMille(edge_per_mille_)) {
    if (Chance(20)) return uint64_t{0} - address;  // up to the end of all addresses
    return Chance(50) ? Pick(kEdgeLengths, random_()) : 1 + Below(4 * kPageSize);
  }
  if (Chance(20)) {
    for (const MapLine& line : snapshot.lines) {
      if (line.start <= address && address < line.end) return line.end - PageDown(address);
    }
  }
  if (Chance(4)) return (1 + Below(main_.pages())) * kPageSize;
  uint64_t pages = 1;
  while (pages < 12 && Chance(65)) ++pages;
  return pages * kPageSize;
}

uint64_t Generator::PickProt() {
  static constexpr uint64_t kCommon[] = {PROT_READ | PROT_WRITE,
                                         PROT_READ | PROT_WRITE,
                                         PROT_READ | PROT_WRITE,
                                         PROT_READ | PROT_WRITE,
                                         PROT_READ,
                                         PROT_READ,
                                         PROT_NONE,
                                         PROT_WRITE,
                                         PROT_READ | PROT_EXEC,
                                         PROT_EXEC,
                                         7};
  uint64_t prot = Pick(kCommon, random_());
  if (PerMille(15)) prot |= PROT_GROWSDOWN;
  if (PerMille(3)) prot |= PROT_GROWSUP;
  if (PerMille(5)) prot |= uint64_t{1} << (3 + Below(20));
  return prot;
}

uint64_t Generator::PickMapFlags() {
  const uint64_t type = Below(100);
  uint64_t flags = MAP_PRIVATE;
  if (type < 22) flags = MAP_SHARED;
  if (type >= 22 && type < 26) flags = MAP_SHARED_VALIDATE;
  if (type >= 26 && type < 29 && features_.droppable) flags = kMapDroppable;
  if (type == 29) flags = Below(16);
  if (Chance(75)) flags |= MAP_ANONYMOUS;
  const uint64_t place = Below(100);
  if (place < 72) {
    flags |= MAP_FIXED;
  } else if (place < 84) {
    flags |= MAP_FIXED_NOREPLACE;
  }
  static constexpr uint64_t kExtras[] = {MAP_POPULATE, MAP_NORESERVE, MAP_LOCKED,   MAP_STACK,
                                         MAP_NONBLOCK, MAP_DENYWRITE, MAP_POPULATE, MAP_EXECUTABLE};
  while (Chance(18)) flags |= Pick(kExtras, random_());
  if (Chance(3)) flags |= MAP_GROWSDOWN;
  if (PerMille(10)) flags |= MAP_SYNC;
  if (PerMille(5)) flags |= 0x200000;  // a bit without a meaning
  return flags;
}

uint64_t Generator::PickAdvice() {
  static constexpr uint64_t kCommon[] = {
      kMadvDontneed,     kMadvDontneed,      kMadvDontneed,       kMadvFree,
      kMadvNormal,       kMadvRandom,        kMadvSequential,     kMadvWillneed,
      kMadvDontfork,     kMadvDofork,        kMadvWipeonfork,     kMadvKeeponfork,
      kMadvCold,         kMadvPageout,       kMadvHugepage,       kMadvNohugepage,
      kMadvDontdump,     kMadvDodump,        kMadvPopulateRead,   kMadvPopulateWrite,
      kMadvPopulateRead, kMadvPopulateWrite, kMadvDontneedLocked, kMadvMergeable,
      kMadvUnmergeable,  kMadvGuardInstall,  kMadvGuardInstall,   kMadvGuardRemove};
  static constexpr uint64_t kUnknown[] = {5, 6, 7, 26, 99, 104, 0xffffffff};
  return PerMille(10) ? Pick(kUnknown, random_()) : Pick(kCommon, random_());
}

bool Generator::Allowed(const Operation& op) const {
  if (op.kind == OpKind::kMremap && (op.args[3] & kMremapDontunmap) != 0) {
    return features_.dontunmap;
  }
  if (op.kind != OpKind::kMadvise) return true;
  switch (op.args[2]) {
    case kMadvGuardInstall:
    case kMadvGuardRemove:
      return features_.guard_regions && features_.guard_in_pagemap;
    case kMadvPopulateRead:
    case kMadvPopulateWrite:
      return features_.populate_advice;
    case kMadvDontneedLocked:
      return features_.dontneed_locked;
    case kMadvMergeable:
    case kMadvUnmergeable:
      return features_.ksm;
    case kMadvHugepage:
    case kMadvNohugepage:
      return features_.huge_pages;
    case kMadvPageout:
      return !features_.swap;
    default:
      return true;
  }
}

uint64_t Generator::Below(uint64_t bound) {
  // The bias is of no interest, equal sequences from equal seeds are.
  return random_() % bound;
}

}  // namespace faultline::oracle
