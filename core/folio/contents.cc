// SPDX-License-Identifier: Apache-2.0
//
// The contents of data pages: FrameAllocator::Zero, Copy, LoadWord, StoreWord (Linux: clear_page,
// copy_page, and what user space does itself).
//
// Simulated loads and stores race as the simulated program likes, so words are relaxed atomics. A
// page that is zeroed or copied to is not mapped yet: its words are written plainly, and what
// publishes it orders them. Invariant: nobody touches the contents of a frame without references.
#include <cstring>

#include "core/base/check.h"
#include "core/folio/frame_allocator.h"
#include "core/sync/atomic_step.h"

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

/// Checked builds: `folio` is a data page in use.
void CheckData(const Folio& folio) {
  MM_DCHECK(folio.use() == FrameUse::kAnon || folio.use() == FrameUse::kFile ||
            folio.use() == FrameUse::kReserved);
}

/// Checked builds: `folio` is a data page that may be written.
void CheckWritable(const Folio& folio) {
  CheckData(folio);
  MM_DCHECK(folio.use() != FrameUse::kReserved);
}

/// Zeroes a page that is in no cache: `memset` waits for a few lines at a time, so all of them are
/// asked for first. That takes a third off the time, and costs nothing where they were there.
void ZeroColdPage(TableWords& words) {
  auto* const bytes = reinterpret_cast<std::byte*>(&words);
  for (size_t line = 0; line < kPageSize; line += kCacheLine) {
    __builtin_prefetch(bytes + line, /*write=*/1);
  }
  std::memset(bytes, 0, kPageSize);
}

}  // namespace

void FrameAllocator::Zero(Folio& folio, SourceLoc where) {
  CheckWritable(folio);
  if (contents() == PageContents::kTag) {
    folio.tag().Store(0, kRelaxed, where);  // relaxed: not reachable yet
    return;
  }
  ZeroColdPage(memory_.WordsOf(folio));
}

void FrameAllocator::Copy(Folio& to, Folio& from, SourceLoc where) {
  CheckWritable(to);
  CheckData(from);
  if (contents() == PageContents::kTag) {
    // Relaxed, both: stores to `from` may race, and `to` is not reachable yet.
    to.tag().Store(from.tag().Load(kRelaxed, where), kRelaxed, where);
    return;
  }
  const TableWords& source = memory_.WordsOf(from);
  TableWords& target = memory_.WordsOf(to);
  const AtomicStep step(LockDetail::kAll, OpKind::kLoad, &source, where);
  for (size_t i = 0; i < source.size(); ++i) {
    target[i].Store(source[i].Load(kRelaxed, where), kRelaxed, where);  // relaxed: as above
  }
}

uint64_t FrameAllocator::LoadWord(Folio& folio, uint64_t offset, SourceLoc where) {
  MM_DCHECK(offset < kPageSize && offset % 8 == 0);
  CheckData(folio);
  // Relaxed, as in StoreWord: the simulated program orders its own accesses.
  if (contents() == PageContents::kTag) return folio.tag().Load(kRelaxed, where);
  return memory_.WordsOf(folio)[offset / 8].Load(kRelaxed, where);
}

void FrameAllocator::StoreWord(Folio& folio, uint64_t offset, uint64_t value, SourceLoc where) {
  MM_DCHECK(offset < kPageSize && offset % 8 == 0);
  CheckWritable(folio);
  if (contents() == PageContents::kTag) {
    folio.tag().Store(value, kRelaxed, where);
    return;
  }
  memory_.WordsOf(folio)[offset / 8].Store(value, kRelaxed, where);
}

}  // namespace faultline
