// SPDX-License-Identifier: Apache-2.0
//
// Lengths mix single pages with multiples of 2 MiB, which the kernel aligns, and with those that
// miss such a multiple by a page, which it does not.
#include "tests/oracle/placement.h"

#include <sys/mman.h>

#include <algorithm>

#include "tests/oracle/arena.h"

namespace faultline::oracle {
namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr size_t kMaxRegions = 40;

}  // namespace

Operation PlacementGenerator::Next(const Duel& duel) {
  ForgetFailed(duel);
  if (regions_.size() >= kMaxRegions) return Munmap();
  const uint64_t roll = Below(100);
  if (regions_.empty() || roll < 45) return Mmap();
  if (roll < 65) return Munmap();
  if (roll < 82) return Mremap();
  return roll < 92 ? Mprotect() : Break();
}

Operation PlacementGenerator::Mmap() {
  Operation op{.kind = OpKind::kMmap, .label = ++last_label_};
  op.args[1] = PickLength();
  const uint64_t hint = Below(10);
  if (hint < 3 && !regions_.empty()) {
    op.base = regions_[Below(regions_.size())].label;
    op.args[0] = (Below(64) - 32) * kPageSize + (Below(8) == 0 ? 8 : 0);
  } else if (hint == 3) {
    static constexpr uint64_t kHints[] = {0x1000,    8,          0x10000000, kTaskSize - kPageSize,
                                          kTaskSize, ~0ull << 12};
    op.args[0] = kHints[Below(std::size(kHints))];
  }
  static constexpr uint64_t kProts[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
                                        PROT_NONE};
  op.args[2] = kProts[Below(std::size(kProts))];
  op.args[3] = Below(5) == 0 ? MAP_SHARED : MAP_PRIVATE;
  op.args[4] = kFileFd;
  if (Below(5) != 0) {
    op.args[3] |= MAP_ANONYMOUS;
    op.args[4] = kNoFile;
  }
  if (Below(8) == 0 && (op.args[3] & MAP_SHARED) == 0) op.args[3] |= MAP_GROWSDOWN;
  if (Below(10) == 0) op.args[3] |= MAP_STACK;
  if (Below(10) == 0) op.args[3] |= MAP_NORESERVE;
  regions_.push_back({op.label, PageUp(op.args[1])});
  return op;
}

Operation PlacementGenerator::Munmap() {
  Operation op{.kind = OpKind::kMunmap};
  const size_t at = Below(regions_.size());
  const Region region = regions_[at];
  SetRange(op, region);
  if (Below(4) != 0 || regions_.size() >= kMaxRegions) {
    op.args[0] = 0;
    op.args[1] = region.length;
    regions_.erase(regions_.begin() + static_cast<ptrdiff_t>(at));
  }
  return op;
}

Operation PlacementGenerator::Mremap() {
  Operation op{.kind = OpKind::kMremap, .label = ++last_label_};
  const Region region = regions_[Below(regions_.size())];
  op.base = region.label;
  if (Below(2) == 0) {
    SetRange(op, region);
  } else {
    op.args[1] = region.length;
  }
  op.args[2] = Below(3) == 0 ? op.args[1] : PickLength();
  op.args[3] = Below(4) == 0 ? 0 : MREMAP_MAYMOVE;
  regions_.push_back({op.label, PageUp(op.args[2])});
  return op;
}

Operation PlacementGenerator::Mprotect() {
  Operation op{.kind = OpKind::kMprotect};
  SetRange(op, regions_[Below(regions_.size())]);
  op.args[2] = Below(2) == 0 ? PROT_NONE : PROT_READ | PROT_WRITE;
  return op;
}

Operation PlacementGenerator::Break() {
  Operation op{.kind = OpKind::kBrk, .base = kBreakLabel};
  op.args[0] = Below(64) * kPageSize + (Below(4) == 0 ? 8 : 0);
  return op;
}

/// Some part of the region.
void PlacementGenerator::SetRange(Operation& op, const Region& region) {
  op.base = region.label;
  const uint64_t pages = region.length / kPageSize;
  const uint64_t first = Below(pages);
  op.args[0] = first * kPageSize;
  op.args[1] = (1 + Below(pages - first)) * kPageSize;
}

/// What the last operation did not map must not be operated on.
void PlacementGenerator::ForgetFailed(const Duel& duel) {
  if (!regions_.empty() && !duel.address(regions_.back().label)) regions_.pop_back();
}

uint64_t PlacementGenerator::PickLength() {
  const uint64_t roll = Below(10);
  if (roll < 6) return (1 + Below(32)) * kPageSize;
  if (roll < 8) return (1 + Below(4)) * kHugePage;
  if (roll == 8) return (1 + Below(2)) * kHugePage - kPageSize;
  return 1 + Below(kHugePage);
}

void SetBreakLabel(Mode mode, Duel& duel) {
  if (mode != Mode::kPlacement) return;
  const StepResult step = duel.Step({.kind = OpKind::kBrk});  // brk(0) fails, which tells it
  if (step.compared && !step.difference) duel.SetAddress(kBreakLabel, step.outcome.value);
}

}  // namespace faultline::oracle
