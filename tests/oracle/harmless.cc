// SPDX-License-Identifier: Apache-2.0
//
// Which operations may be sent to a real process that wants to live on. Its code, stack and
// libraries lie above the zone, so an operation is harmless if its range ends in the zone, if the
// kernel refuses it by its arguments alone, or if it stops at the first hole: between the last
// area and the end of the zone nothing is ever mapped.
#include <sys/mman.h>

#include "tests/oracle/abi.h"
#include "tests/oracle/generator.h"

namespace faultline::oracle {
namespace {

/// More than any area has pages, little enough to be populated in no time.
constexpr uint64_t kMaxLength = 1024 * kPageSize;
constexpr uint64_t kLastMapped = kStackArea.end + 64 * kPageSize;

/// No range of this length fits below the end of the address space.
bool TooLong(uint64_t length) { return PageUp(length) > kTaskSize; }

/// munmap, mmap with MAP_FIXED and the target of mremap: EINVAL or ENOMEM before anything happens.
bool Refused(uint64_t address, uint64_t length) {
  const uint64_t aligned = PageUp(length);
  return !PageAligned(address) || aligned == 0 || aligned > kTaskSize ||
         address > kTaskSize - aligned;
}

bool InZone(uint64_t address, uint64_t length) {
  const uint64_t end = address + length;
  return end >= address && end <= kLastMapped;
}

/// Nothing is mapped from here on, so there is nothing to change.
bool BehindAll(uint64_t address) { return address >= kTaskSize; }

bool WrapsAround(uint64_t address, uint64_t length) {
  return PageUp(length) < length || PageDown(address) + PageUp(length) < PageDown(address);
}

bool MmapIsHarmless(uint64_t address, uint64_t length, uint64_t flags) {
  // Above 32 bits there are requests for special memory; MAP_32BIT, MAP_HUGETLB would leave the
  // zone.
  constexpr uint64_t kNever = 0x40 | 0x80 | 0x40000;
  if ((flags & kNever) != 0) return false;
  if (TooLong(length) || length == 0) return true;
  if (length > kMaxLength) return false;
  const bool fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
  if (!fixed) return address < kLastMapped || BehindAll(address);
  return InZone(address, PageUp(length)) || Refused(address, length);
}

bool MremapIsHarmless(const Operation& op) {
  const auto& [address, old_length, new_length, flags, target, unused] = op.args;
  if (!PageAligned(address) || (flags & ~uint64_t{7}) != 0) return true;
  if (PageUp(new_length) == 0 || TooLong(new_length)) return true;
  if (new_length > kMaxLength) return false;
  if ((flags & MREMAP_FIXED) != 0 && !InZone(target, PageUp(new_length)) &&
      !Refused(target, new_length)) {
    return false;
  }
  // The tail of a mapping that shrinks is unmapped, and munmap refuses what is too long.
  return BehindAll(address) || TooLong(old_length) || InZone(address, PageUp(old_length));
}

/// madvise goes on behind a hole.
bool MadviseIsHarmless(uint64_t address, uint64_t length) {
  return !PageAligned(address) || WrapsAround(address, length) || BehindAll(address) ||
         InZone(address, PageUp(length));
}

bool ProtectIsHarmless(uint64_t address, uint64_t length, uint64_t prot) {
  if ((prot & (PROT_GROWSDOWN | PROT_GROWSUP)) != 0 && !InZone(address, PageUp(length))) {
    return false;
  }
  return address < kLastMapped || BehindAll(address);
}

}  // namespace

bool IsHarmless(const Operation& op) {
  const auto& args = op.args;
  switch (op.kind) {
    case OpKind::kMmap:
      return MmapIsHarmless(args[0], args[1], args[3]);
    case OpKind::kMunmap:
      return Refused(args[0], args[1]) || InZone(args[0], PageUp(args[1]));
    case OpKind::kMprotect:
      return ProtectIsHarmless(args[0], args[1], args[2]);
    case OpKind::kMremap:
      return MremapIsHarmless(op);
    case OpKind::kMadvise:
      return MadviseIsHarmless(args[0], args[1]);
    case OpKind::kMseal:
    case OpKind::kMlock:
    case OpKind::kMlock2:
    case OpKind::kMunlock:
    case OpKind::kRead:
    case OpKind::kWrite:
      return args[0] < kLastMapped || BehindAll(args[0]);
    case OpKind::kBrk:
      return false;
    case OpKind::kMlockall:
    case OpKind::kMunlockall:
    case OpKind::kFork:
    case OpKind::kExit:
      return true;
  }
  return false;
}

}  // namespace faultline::oracle
