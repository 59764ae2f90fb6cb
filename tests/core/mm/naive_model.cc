// SPDX-License-Identifier: Apache-2.0
//
// The calls of naive_model.h, page by page.
#include "tests/core/mm/naive_model.h"

#include <cerrno>
#include <sstream>

namespace faultline::inline FAULTLINE_FLAVOUR {
namespace {

using namespace abi;  // NOLINT(google-build-using-namespace): names of the ABI

/// What a page shows; nothing behind the end of its object.
std::optional<uint64_t> Shows(const NaivePage& page) {
  if (page.word) return page.word;
  if (page.object == nullptr) return 0;
  if (page.index >= page.object->words.size()) return std::nullopt;
  return page.object->words[page.index];
}

bool SealForbids(int advice, const NaivePage& page) {
  switch (advice) {
    case kMadvDontNeed:
    case kMadvDontNeedLocked:
    case kMadvFree:
    case kMadvDontFork:
    case kMadvWipeOnFork:
    case kMadvGuardInstall:
      return page.sealed && page.is_anonymous() && (page.prot & kProtWrite) == 0;
    default:
      return false;
  }
}

}  // namespace

std::string Describe(const NaiveOp& op) {
  static constexpr const char* kNames[] = {"mmap",  "munmap", "mprotect", "mremap",  "madvise",
                                           "mseal", "mlock",  "mlock2",   "munlock", "read",
                                           "write", "fork",   "exit"};
  std::ostringstream out;
  out << kNames[static_cast<size_t>(op.kind)] << " process " << op.process << " page " << op.page
      << " pages " << op.pages << " prot " << op.prot << " flags 0x" << std::hex << op.flags
      << std::dec << " source " << static_cast<int>(op.source) << " offset " << op.offset
      << " new_pages " << op.new_pages << " target " << op.target << " advice " << op.advice;
  return out.str();
}

NaivePage* NaiveProcess::Find(uint64_t page) {
  const auto it = pages_.find(page);
  return it == pages_.end() ? nullptr : &it->second;
}

const NaivePage* NaiveProcess::Find(uint64_t page) const {
  const auto it = pages_.find(page);
  return it == pages_.end() ? nullptr : &it->second;
}

bool NaiveProcess::AnySealed(uint64_t page, uint64_t pages) const {
  for (auto it = pages_.lower_bound(page); it != pages_.end() && it->first < page + pages; ++it) {
    if (it->second.sealed) return true;
  }
  return false;
}

NaiveOutcome NaiveProcess::Apply(const NaiveOp& op, uint64_t word) {
  using Kind = NaiveOp::Kind;
  switch (op.kind) {
    case Kind::kMmap:
      return {.error = Mmap(op)};
    case Kind::kMunmap:
      return {.error = Munmap(op.page, op.pages)};
    case Kind::kMprotect:
      return {.error = Mprotect(op)};
    case Kind::kMremap:
      return {.error = Mremap(op)};
    case Kind::kMadvise:
      return {.error = Madvise(op)};
    case Kind::kMseal:
      for (uint64_t i = 0; i < op.pages; ++i) {
        if (Find(op.page + i) == nullptr) return {.error = ENOMEM};
      }
      for (uint64_t i = 0; i < op.pages; ++i) Find(op.page + i)->sealed = true;
      return {};
    case Kind::kMlock:
    case Kind::kMlockOnFault:
    case Kind::kMunlock:
      return {.error = Lock(op)};
    case Kind::kRead:
    case Kind::kWrite:
      return Access(op, word);
    default:
      return {};
  }
}

/// A fault that reads or writes; 0, EFAULT (guard) or EIO (behind the end: SIGBUS).
int NaiveProcess::Populate(NaivePage& page, bool write) {
  if (page.guard) return EFAULT;
  const std::optional<uint64_t> shows = Shows(page);
  if (!shows) return EIO;
  if (write && !page.shared) page.word = shows;
  return 0;
}

NaiveOutcome NaiveProcess::Access(const NaiveOp& op, uint64_t word) {
  NaivePage* const page = Find(op.page);
  if (page == nullptr) return {.signal = kSigSegv, .code = kSegvMapErr};
  const bool write = op.kind == NaiveOp::Kind::kWrite;
  const uint64_t needed = write ? kProtWrite : kProtRead | kProtWrite | kProtExec;
  if ((page->prot & needed) == 0) return {.signal = kSigSegv, .code = kSegvAccErr};
  const int error = Populate(*page, write);
  if (error == EFAULT) return {.signal = kSigSegv, .code = kSegvMapErr};
  if (error != 0) return {.signal = kSigBus, .code = kBusAdrErr};
  if (!write) return {.word = *Shows(*page)};
  if (page->shared) {
    page->object->words[page->index] = word;
  } else {
    page->word = word;
  }
  return {};
}

int NaiveProcess::Mmap(const NaiveOp& op) {
  using Source = NaiveOp::Source;
  const bool locked = (op.flags & kMapLocked) != 0;
  if (op.pages == 0) return EINVAL;
  if ((op.flags & kMapFixedNoReplace) != 0) {
    for (uint64_t i = 0; i < op.pages; ++i) {
      if (Find(op.page + i) != nullptr) return EEXIST;
    }
  }
  if (op.source == Source::kDroppable && locked) return EINVAL;
  if (op.source == Source::kReadOnlyFile && (op.prot & kProtWrite) != 0) return EACCES;
  if (AnySealed(op.page, op.pages)) return EPERM;
  NaivePage page;
  page.prot = op.prot;
  page.locked = locked;
  page.shared = op.source == Source::kShared || op.source == Source::kFile;
  page.may_write = op.source != Source::kReadOnlyFile;
  page.droppable = page.wipe_on_fork = op.source == Source::kDroppable;
  if (op.source == Source::kShared) {
    page.object = std::make_shared<NaiveObject>();
    page.object->words.resize(op.pages);
  } else if (op.source != Source::kAnon && op.source != Source::kDroppable) {
    page.object = file_;
    page.index = op.offset;
  }
  const bool populate = locked || (op.flags & kMapPopulate) != 0;
  for (uint64_t i = 0; i < op.pages; ++i, ++page.index) {
    NaivePage& fresh = pages_[op.page + i];
    fresh = page;
    if (populate && op.prot != 0) (void)Populate(fresh, (op.prot & kProtWrite) != 0);
  }
  return 0;
}

int NaiveProcess::Munmap(uint64_t page, uint64_t pages) {
  if (pages == 0) return EINVAL;
  if (AnySealed(page, pages)) return EPERM;
  pages_.erase(pages_.lower_bound(page), pages_.lower_bound(page + pages));
  return 0;
}

int NaiveProcess::Mprotect(const NaiveOp& op) {
  for (uint64_t i = 0; i < op.pages; ++i) {
    NaivePage* const page = Find(op.page + i);
    if (page == nullptr) return ENOMEM;
    if ((op.prot & kProtWrite) != 0 && !page->may_write) return EACCES;
    if (page->sealed) return EPERM;
    const bool gains_write = (op.prot & ~page->prot & kProtWrite) != 0;
    page->prot = op.prot;
    if (gains_write && page->locked && !page->on_fault && !page->shared) {
      (void)Populate(*page, /*write=*/true);
    }
  }
  return 0;
}

// -- mremap ---------------------------------------------------------------------------------------

int NaiveProcess::Mremap(const NaiveOp& op) {
  const bool fixed = (op.flags & kMremapFixed) != 0;
  const bool dont_unmap = (op.flags & kMremapDontUnmap) != 0;
  if (op.new_pages == 0) return EINVAL;
  if (fixed || dont_unmap) {
    if ((op.flags & kMremapMayMove) == 0) return EINVAL;
    if (dont_unmap && op.pages != op.new_pages) return EINVAL;
    if (op.page + op.pages > op.target && op.target + op.new_pages > op.page) return EINVAL;
  }
  if (fixed && op.pages == op.new_pages) return MoveAll(op);
  const NaivePage* const first = Find(op.page);
  if (first == nullptr) return EFAULT;
  if (first->sealed) return EPERM;
  return fixed ? MoveOne(op) : Resize(op);
}

void NaiveProcess::MovePage(uint64_t from, uint64_t to, bool keep_source) {
  NaivePage page = *Find(from);
  pages_[to] = page;
  if (!keep_source) {
    pages_.erase(from);
    return;
  }
  NaivePage& left = *Find(from);
  left.word.reset();
  left.guard = false;
}

int NaiveProcess::MoveAll(const NaiveOp& op) {
  if (Find(op.page) == nullptr) return EFAULT;
  for (uint64_t i = 0; i < op.pages; ++i) {
    const NaivePage* const from = Find(op.page + i);
    if (from == nullptr) continue;
    const NaivePage* const to = Find(op.target + i);
    if (from->sealed || (to != nullptr && to->sealed)) return EPERM;
    MovePage(op.page + i, op.target + i, (op.flags & kMremapDontUnmap) != 0);
  }
  return 0;
}

int NaiveProcess::Resize(const NaiveOp& op) {
  if (op.new_pages == op.pages) return 0;
  if (op.new_pages < op.pages) return Munmap(op.page + op.new_pages, op.pages - op.new_pages);
  if (op.pages == 0 && !Find(op.page)->is_shared()) return EINVAL;
  for (uint64_t i = op.pages; i < op.new_pages; ++i) {
    if (Find(op.page + i) != nullptr) return ENOMEM;
  }
  NaivePage page = *Find(op.page);
  page.word.reset();
  page.guard = false;
  AddAfter(page, op.page + op.pages, op.new_pages - op.pages);
  return 0;
}

/// To a fixed place with another length: the old one is at most one page, or shrinks to one.
int NaiveProcess::MoveOne(const NaiveOp& op) {
  if (op.pages == 0 && !Find(op.page)->is_shared()) return EINVAL;
  if (const int error = Munmap(op.target, op.new_pages); error != 0) return error;
  // An empty range overlaps nothing, so the target may have been the source.
  if (Find(op.page) == nullptr) return EFAULT;
  if (op.new_pages < op.pages) {
    const int error = Munmap(op.page + op.new_pages, op.pages - op.new_pages);
    if (error != 0) return error;
  }
  NaivePage page = *Find(op.page);
  if (op.pages == 0) {
    page.word.reset();
    page.guard = false;
    pages_[op.target] = page;
  } else {
    MovePage(op.page, op.target, /*keep_source=*/false);
  }
  page.word.reset();
  page.guard = false;
  AddAfter(page, op.target + 1, op.new_pages - 1);
  return 0;
}

/// What mremap adds behind `page`.
void NaiveProcess::AddAfter(NaivePage page, uint64_t number, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    ++page.index;
    NaivePage& fresh = pages_[number + i];
    fresh = page;
    const bool write = !page.shared && (page.prot & kProtWrite) != 0;
    if (page.locked && !page.on_fault && page.prot != 0) (void)Populate(fresh, write);
  }
}

// -- madvise, mlock -------------------------------------------------------------------------------

int NaiveProcess::Madvise(const NaiveOp& op) {
  const bool populate = op.advice == kMadvPopulateRead || op.advice == kMadvPopulateWrite;
  bool hole = false;
  for (uint64_t i = 0; i < op.pages; ++i) {
    NaivePage* const page = Find(op.page + i);
    if (page == nullptr) {
      if (populate) return ENOMEM;
      hole = true;
      continue;
    }
    if (SealForbids(op.advice, *page)) return EPERM;
    if (const int error = AdvisePage(*page, op.advice); error != 0) return error;
  }
  return hole ? ENOMEM : 0;
}

int NaiveProcess::AdvisePage(NaivePage& page, int advice) {
  const bool private_anonymous = page.is_anonymous() && !page.shared;
  switch (advice) {
    case kMadvDontNeed:
      if (page.locked) return EINVAL;
      [[fallthrough]];
    case kMadvDontNeedLocked:
      page.word.reset();
      return 0;
    case kMadvFree:
      return page.locked || !private_anonymous ? EINVAL : 0;
    case kMadvCold:
      return page.locked ? EINVAL : 0;
    case kMadvDontFork:
      page.dont_fork = true;
      return 0;
    case kMadvDoFork:
      page.dont_fork = false;
      return 0;
    case kMadvWipeOnFork:
      if (!private_anonymous) return EINVAL;
      page.wipe_on_fork = true;
      return 0;
    case kMadvKeepOnFork:
      if (page.droppable) return EINVAL;
      page.wipe_on_fork = false;
      return 0;
    case kMadvDoDump:
      return page.droppable ? EINVAL : 0;
    case kMadvGuardInstall:
      if (page.locked) return EINVAL;
      if (!page.guard) page.word.reset();
      page.guard = true;
      return 0;
    case kMadvGuardRemove:
      page.guard = false;
      return 0;
    case kMadvPopulateRead:
    case kMadvPopulateWrite: {
      const bool write = advice == kMadvPopulateWrite;
      if ((page.prot & (write ? kProtWrite : kProtRead)) == 0) return EINVAL;
      return Populate(page, write) != 0 ? EFAULT : 0;
    }
    default:
      return 0;
  }
}

int NaiveProcess::Lock(const NaiveOp& op) {
  const bool lock = op.kind != NaiveOp::Kind::kMunlock;
  for (uint64_t i = 0; i < op.pages; ++i) {
    NaivePage* const page = Find(op.page + i);
    if (page == nullptr) return ENOMEM;
    if (page->droppable) continue;
    page->locked = lock;
    page->on_fault = op.kind == NaiveOp::Kind::kMlockOnFault;
  }
  for (uint64_t i = 0; lock && i < op.pages; ++i) {
    NaivePage& page = *Find(op.page + i);
    if (page.on_fault) continue;
    if (page.prot == 0) return ENOMEM;
    const bool write = !page.shared && (page.prot & kProtWrite) != 0;
    if (Populate(page, write) != 0) return ENOMEM;
  }
  return 0;
}

// -- fork -----------------------------------------------------------------------------------------

NaiveProcess NaiveProcess::Fork() const {
  NaiveProcess child(file_);
  for (const auto& [number, page] : pages_) {
    if (page.dont_fork) continue;
    NaivePage copy = page;
    copy.locked = copy.on_fault = false;
    if (page.wipe_on_fork) {
      copy.word.reset();
      copy.guard = false;
    }
    child.pages_.emplace(number, copy);
  }
  return child;
}

bool NaiveProcess::Determined(const NaiveOp& op) const {
  const auto any = [&](uint64_t first, uint64_t pages, const auto& is) {
    for (uint64_t i = 0; i < pages; ++i) {
      const NaivePage* const page = Find(first + i);
      if (page != nullptr && is(*page)) return true;
    }
    return false;
  };
  if (op.kind == NaiveOp::Kind::kMadvise && op.advice == kMadvGuardInstall) {
    // How much of a private file is copied ahead depends on how far its VMA goes to the guard.
    return !any(op.page, op.pages,
                [](const NaivePage& page) { return page.object && !page.shared; });
  }
  if (op.kind != NaiveOp::Kind::kMremap) return true;
  const bool fixed = (op.flags & kMremapFixed) != 0;
  const bool dont_unmap = (op.flags & kMremapDontUnmap) != 0;
  if (dont_unmap && !fixed && (op.flags & kMremapMayMove) != 0) return false;  // goes elsewhere
  if (!fixed && op.new_pages > op.pages) {
    // In place, from a VMA's end or not: one page tells. Moves go elsewhere.
    return op.pages == 1 && (op.flags & kMremapMayMove) == 0;
  }
  if (!fixed) return true;
  if (op.new_pages != op.pages) {
    return op.pages <= 1 || op.new_pages == 1;
  }
  // A VMA moves whole or not at all, and loses its lock whole.
  if (dont_unmap && any(op.page, op.pages, [](const NaivePage& page) { return page.locked; })) {
    return false;
  }
  return op.pages == 1 || (!AnySealed(op.page, op.pages) && !AnySealed(op.target, op.pages));
}

}  // namespace faultline
