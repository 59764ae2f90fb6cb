// SPDX-License-Identifier: Apache-2.0
//
// Translates operations to calls of Mm, and its VMAs and pages to what /proc would show.
#include "tests/oracle/mm_subject.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <string>

#include "tests/oracle/arena.h"
#include "tests/oracle/die.h"
#include "tests/oracle/features.h"

namespace faultline::oracle {
namespace {

constexpr uint64_t kMemoryBytes = 256 << 20;

uint64_t LimitOf(__rlimit_resource resource) {
  rlimit limit = {};
  getrlimit(resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

/// The same for each of many machines.
const HostLimits& HostLimitsOnce() {
  static const HostLimits limits = ReadHostLimits();
  return limits;
}

MmOptions HostOptions() {
  MmOptions options;
  options.rlimit_as = LimitOf(RLIMIT_AS);
  options.rlimit_data = LimitOf(RLIMIT_DATA);
  options.rlimit_stack = LimitOf(RLIMIT_STACK);
  options.rlimit_memlock = LimitOf(RLIMIT_MEMLOCK);
  const HostLimits& limits = HostLimitsOnce();
  options.commit_limit_pages = limits.memory_pages;
  options.mmap_min_addr = limits.mmap_min_addr;
  options.dac_mmap_min_addr = limits.dac_mmap_min_addr;
  options.max_map_count = limits.max_map_count;
  options.can_ipc_lock = limits.can_lock;
  options.can_raw_io = false;  // the kernel's side drops it
  return options;
}

Outcome ErrorOutcome(Errno error) { return {.error = static_cast<int>(error)}; }

Outcome ToOutcome(const Result<void>& result) {
  return result.ok() ? Outcome{} : ErrorOutcome(result.error());
}

Outcome ToOutcome(const AccessOutcome& access, uint64_t word) {
  if (access.ok()) return {.word = word};
  return {.signal = access.signal,
          .si_code = access.code,
          .fault_address = PageDown(access.address.value())};
}

VmaFlags FlagsOf(const MapLine& line) {
  using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names
  VmaFlags flags = kMayRead | kMayWrite | kMayExec;
  if (line.perms[0] == 'r') flags |= kRead;
  if (line.perms[1] == 'w') flags |= kWrite;
  if (line.perms[2] == 'x') flags |= kExec;
  if (line.perms[3] == 's') flags |= kShared | kMayShare;
  if ((flags & (kWrite | kShared)) == kWrite) flags |= kAccount;
  return flags;
}

std::array<char, 4> PermsOf(VmaFlags flags) {
  using namespace vma_flag;  // NOLINT(google-build-using-namespace): flag names
  return {(flags & kRead) != 0 ? 'r' : '-', (flags & kWrite) != 0 ? 'w' : '-',
          (flags & kExec) != 0 ? 'x' : '-', (flags & kMayShare) != 0 ? 's' : 'p'};
}

}  // namespace

MmSubject::MmSubject(Mode mode, const Layout* layout, const Setup& setup) : mode_(mode) {
  Result<std::unique_ptr<Machine>> machine = Machine::Create({.memory_bytes = kMemoryBytes,
                                                              .object_bytes = 4ull << 30,
                                                              .cpus = 2,
                                                              .contents = PageContents::kBytes});
  if (!machine.ok()) Die("cannot make a machine");
  machine_ = *std::move(machine);
  MmOptions options = HostOptions();
  options.validate_each_release = setup.validate == Validate::kEachRelease;
  options.fault = setup.fault;
  options.extra_duties = setup.extra_duties;
  if (layout != nullptr) {
    options.mmap_base = VirtAddr(layout->mmap_base);
    options.start_brk = VirtAddr(layout->brk_start);
    options.rlimit_stack = layout->stack_limit;
  }
  mms_[0] = *machine_->CreateMm(options);
  brk_start_ = options.start_brk;
  FillFile();
  if (layout != nullptr) ImportLayout(*layout);
}

MmSubject::~MmSubject() {
  machine_->Validate();
  for (Mm* mm : mms_) {
    if (mm != nullptr) mm->DropUser();
  }
  file_->Put();
  for (Mapping* mapping : imported_) mapping->Put();
}

void MmSubject::FillFile() {
  file_ = *Mapping::Create({.kind = Mapping::Kind::kShmem, .name = "file", .bytes = kFileSize},
                           machine_->frames(), machine_->heap());
  for (uint64_t page = 0; page <= kFilePages; ++page) {
    Folio* folio = *file_->FindOrCreate(PageIndex(page), Gfp::kKernel);
    machine_->frames().StoreWord(*folio, 0, FileWord(page));
    machine_->frames().Put(*folio);
  }
}

/// Every line becomes a VMA. Which of them are special the text does not say; their names do.
void MmSubject::ImportLayout(const Layout& layout) {
  stack_start_ = VirtAddr(layout.stack_start);
  for (const Layout::Line& line : layout.lines) {
    VmaFlags flags = FlagsOf(line.line);
    Mapping* mapping = nullptr;
    if (line.line.name == NameKind::kStack) flags |= vma_flag::kGrowsDown;
    // A forked process's written memory has a chain of anon_vmas, and merges with nothing that is
    // mapped later. A flag that no new mapping has does the same here.
    if (line.anonymous && !line.untouched) flags |= vma_flag::kRandRead;
    if (line.no_reserve) flags |= vma_flag::kNoReserve;
    if (line.name.starts_with("[v")) flags |= vma_flag::kDontExpand | vma_flag::kPfnMap;
    if (!line.anonymous) {
      mapping = *machine_->CreateFile(line.name, std::numeric_limits<int64_t>::max());
      imported_.push_back(mapping);
      if (line.line.name == NameKind::kOther) other_.insert(mapping);
    }
    const uint64_t pgoff =
        mapping != nullptr ? line.line.offset / kPageSize : line.line.start / kPageSize;
    const VirtRange range(VirtAddr(line.line.start), VirtAddr(line.line.end));
    if (!mms_[0]->Import(range, flags, mapping, PageIndex(pgoff)).ok()) Die("cannot import a map");
  }
}

bool MmSubject::Supports(const Operation& op) const {
  if (op.kind == OpKind::kRead && HostLimitsOnce().execute_only_keys) return !IsExecuteOnly(op);
  if (op.kind != OpKind::kMadvise) return true;
  // Same-page merging and collapsing are not modelled.
  const uint64_t advice = op.args[2];
  if (advice == MADV_MERGEABLE || advice == MADV_UNMERGEABLE || advice == 25) return false;
  return advice != MADV_PAGEOUT || !PageOutWouldShow(op);
}

/// Protection keys make memory unreadable that may only be executed. They are not modelled.
bool MmSubject::IsExecuteOnly(const Operation& op) const {
  bool found = false;
  mms_[static_cast<size_t>(op.process)]->ForEachVma([&](const MapsLine& line) {
    if (line.range.Contains(VirtAddr(op.args[0]))) {
      found = (line.flags & vma_flag::kAccess) == vma_flag::kExec;
    }
  });
  return found;
}

/// Paging out has no effect yet: reclaim is still to come. On a machine without swap the kernel
/// takes out only what has a file, or may be dropped.
bool MmSubject::PageOutWouldShow(const Operation& op) const {
  if (lazily_freed_) return true;
  Mm& mm = *mms_[static_cast<size_t>(op.process)];
  bool would = false;
  mm.ForEachVma([&](const MapsLine& line) {
    if ((line.flags & vma_flag::kDroppable) != 0) would = true;
  });
  for (const Area& area : kAreas) {
    mm.ForEachPage(VirtRange(VirtAddr(area.start), VirtAddr(area.end)),
                   [&](VirtAddr address, const PageView& view) {
                     const uint64_t offset = address.value() - op.args[0];
                     if (view.file_or_shared && offset < PageUp(op.args[1])) would = true;
                   });
  }
  return would;
}

Outcome MmSubject::Apply(const Operation& op) {
  Mm& mm = *mms_[static_cast<size_t>(op.process)];
  const auto& a = op.args;
  const VirtAddr addr(a[0]);
  switch (op.kind) {
    case OpKind::kMmap:
      return Mmap(mm, op);
    case OpKind::kMunmap:
      return ToOutcome(mm.Munmap(addr, a[1]));
    case OpKind::kMprotect:
      return ToOutcome(mm.Mprotect(addr, a[1], a[2]));
    case OpKind::kMremap:
      return Mremap(mm, op);
    case OpKind::kMadvise:
      lazily_freed_ |= a[2] == MADV_FREE;
      return ToOutcome(mm.Madvise(addr, a[1], static_cast<int>(a[2])));
    case OpKind::kMseal:
      return ToOutcome(mm.Mseal(addr, a[1], a[2]));
    case OpKind::kMlock:
      return ToOutcome(mm.Mlock(addr, a[1]));
    case OpKind::kMlock2:
      return ToOutcome(mm.Mlock2(addr, a[1], a[2]));
    case OpKind::kMunlock:
      return ToOutcome(mm.Munlock(addr, a[1]));
    case OpKind::kMlockall:
      return ToOutcome(mm.Mlockall(a[0]));
    case OpKind::kMunlockall:
      return ToOutcome(mm.Munlockall());
    case OpKind::kBrk:
      return {.value = mm.Brk(addr)->value()};
    case OpKind::kRead: {
      uint64_t word = 0;
      const AccessOutcome access = mm.Read(addr, word);
      return ToOutcome(access, word);
    }
    case OpKind::kWrite:
      return ToOutcome(mm.Write(addr, a[1]), 0);
    case OpKind::kFork:
      return Fork(mm, static_cast<int>(a[0]));
    case OpKind::kExit: {
      Mm*& gone = mms_[static_cast<size_t>(op.process)];
      gone->Validate();
      gone->DropUser();
      gone = nullptr;
      return {};
    }
  }
  return {};
}

Outcome MmSubject::Mmap(Mm& mm, const Operation& op) {
  const auto& a = op.args;
  const bool is_file = a[4] == kFileFd || a[4] == kReadOnlyFileFd;
  const Result<VirtAddr> result = mm.Mmap({.addr = VirtAddr(a[0]),
                                           .length = a[1],
                                           .prot = a[2],
                                           .flags = a[3],
                                           .file = is_file ? file_ : nullptr,
                                           .file_writable = a[4] == kFileFd,
                                           .open_file = is_file ? a[4] : 0,
                                           .offset = a[5]});
  return Placed(mm, result, a[1]);
}

Outcome MmSubject::Mremap(Mm& mm, const Operation& op) {
  const auto& a = op.args;
  return Placed(mm, mm.Mremap(VirtAddr(a[0]), a[1], a[2], a[3], VirtAddr(a[4])), a[2]);
}

Outcome MmSubject::Placed(Mm& mm, const Result<VirtAddr>& result, uint64_t length) const {
  if (!result.ok()) return ErrorOutcome(result.error());
  if (mode_ == Mode::kPlacement || result->value() < kZoneEnd) return {.value = result->value()};
  (void)mm.Munmap(*result, PageUp(length));
  return {.value = kElsewhere};
}

Outcome MmSubject::Fork(Mm& mm, int index) {
  const Result<Mm*> child = mm.Fork();
  if (!child.ok()) return ErrorOutcome(child.error());
  mms_[static_cast<size_t>(index)] = *child;
  return {};
}

void MmSubject::Observe(int process, Snapshot& snapshot) {
  Mm& mm = *mms_[static_cast<size_t>(process)];
  snapshot.lines.clear();
  snapshot.pages.clear();
  mm.ForEachVma([&](const MapsLine& line) {
    snapshot.lines.push_back({.start = line.range.start().value(),
                              .end = line.range.end().value(),
                              .offset = line.offset,
                              .perms = PermsOf(line.flags),
                              .name = NameOf(process, line)});
  });
  if (mode_ == Mode::kPlacement) return;
  auto line = snapshot.lines.begin();
  for (const Area& area : kAreas) {
    const VirtRange range(VirtAddr(area.start), VirtAddr(area.end));
    mm.ForEachPage(range, [&](VirtAddr address, const PageView& view) {
      PageState page{.address = address.value(),
                     .present = view.present,
                     .file_or_shared = view.file_or_shared,
                     .guard = view.guard};
      while (line != snapshot.lines.end() && line->end <= page.address) ++line;
      page.readable = page.present && line != snapshot.lines.end() && line->start <= page.address &&
                      line->perms[0] == 'r';
      if (page.readable) page.word = view.word;
      snapshot.pages.push_back(page);
    });
  }
}

NameKind MmSubject::NameOf(int process, const MapsLine& line) const {
  if (line.mapping == file_) return NameKind::kFile;
  if (line.mapping != nullptr) {
    return other_.contains(line.mapping) ? NameKind::kOther : NameKind::kSharedAnonymous;
  }
  if (mode_ == Mode::kArena) return NameKind::kNone;
  const VirtAddr brk = mms_[static_cast<size_t>(process)]->brk();
  if (line.range.start() <= brk && line.range.end() >= brk_start_) return NameKind::kHeap;
  if (line.range.start() <= stack_start_ && line.range.end() >= stack_start_) {
    return NameKind::kStack;
  }
  return NameKind::kNone;
}

}  // namespace faultline::oracle
