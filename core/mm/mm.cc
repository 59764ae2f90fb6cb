// SPDX-License-Identifier: Apache-2.0
//
// How an Mm is made, imported into, and looked at; see mm.h.
//
// Looking takes mmap_lock for read and changes nothing: no page becomes resident by being looked
// at.
#include "core/mm/mm.h"

#include <cstdint>
#include <new>

#include <absl/strings/str_format.h>

#include "core/mm/vma_edit.h"

namespace faultline::inline FAULTLINE_FLAVOUR {

Mm::Mm(const MmServices& services, const MmOptions& options)
    : VmaOwner(options.first_sequence),
      services_(services),
      options_(options),
      tree_(services.heap),
      brk_(options.start_brk),
      counters_(services.cpus),
      fault_stats_(services.cpus),
      fault_target_{.mm = *this,
                    .mmap_lock = mmap_lock_,
                    .tables = tables_,
                    .tree = tree_,
                    .tlbs = services.tlbs,
                    .tlb = tlb_,
                    .anon_vmas = services.anon_vmas,
                    .frames = services.frames,
                    .anon_vma_lock = anon_vma_lock_,
                    .stats = fault_stats_,
                    .options = options.fault,
                    .fault_around_bytes = options.fault_around_bytes},
      fault_(FaultFunctionOf(options.fault.scheme)),
      tables_(services.frames, counters_, options.page_table_levels) {
  // Relaxed: only a name, and unique.
  tlb_.tag = AddressTag(services.next_address_tag.FetchAdd(1, kRelaxed) + 1);
  tlb_.frees_synchronously = options.fault.pgtable_free == TableFree::kSynchronous;
  tables_.SetStrayChecks(options.fault.guard != FaultGuard::kStillValidAlone);
}

Mm::~Mm() { MM_DCHECK_EQ(users_.Peek(), 0u); }

std::optional<std::string> WhyRefused(const MmOptions& options) {
  if (auto why = WhyRefused(options.fault)) return why;
  if (options.first_sequence % 2 != 0) {
    return absl::StrFormat(
        "first_sequence: %u is odd, as if a writer were in; allowed: even numbers from 0 to %u",
        options.first_sequence, UINT64_MAX - 1);
  }
  return std::nullopt;
}

Result<Mm*> Mm::Create(const MmServices& services, const MmOptions& options) {
  if (WhyRefused(options).has_value()) return Errno::kEinval;
  MM_ASSIGN_OR_RETURN(void* const memory, services.heap.Allocate(sizeof(Mm), alignof(Mm)));
  Mm* const mm = new (memory) Mm(services, options);
  Result<void> ready = mm->tree_.Init();
  if (ready.ok()) ready = mm->tables_.Init();
  if (!ready.ok()) {
    mm->users_.Store(0, kRelaxed);  // relaxed: nobody else has seen it
    mm->Put();
    return ready.error();
  }
  services.mms.Add(*mm);
  return mm;
}

Result<void> Mm::Import(VirtRange range, VmaFlags flags, Mapping* mapping, PageIndex pgoff) {
  MmWriter writer(*this);
  if (!writer.held()) return Errno::kEintr;
  VmaEditor editor(writer);
  if (editor.FirstIn(range) != nullptr) return Errno::kEexist;
  const Result<Vma*> vma =
      editor.Insert({.range = range, .flags = flags, .mapping = mapping, .pgoff = pgoff});
  if (!vma.ok()) return vma.error();
  writer.Account(flags, static_cast<int64_t>(range.pages()));
  return {};
}

void Mm::ForEachVma(const std::function<void(const MapsLine&)>& visit) {
  const ActivityScope activity(Activity::kReadMaps);
  const MmReader reader(*this);
  if (!reader.held()) return;
  for (const Vma* vma = reader.FindFrom(VirtAddr(0)); vma != nullptr;
       vma = reader.FindFrom(vma->end())) {
    MapsLine line{.range = vma->range(), .flags = vma->flags(), .mapping = vma->mapping()};
    if (line.mapping != nullptr) line.offset = vma->pgoff().value() << kPageShift;
    visit(line);
  }
}

PageView Mm::View(VirtAddr page) {
  const ActivityScope activity(Activity::kReadMaps);
  const MmReader reader(*this);
  if (!reader.held()) return {};
  return ViewPage(fault_target_, page);
}

void Mm::ForEachPage(VirtRange range, const std::function<void(VirtAddr, const PageView&)>& visit) {
  const ActivityScope activity(Activity::kReadMaps);
  const MmReader reader(*this);
  if (!reader.held()) return;
  for (VirtAddr page = range.start(); page < range.end();) {
    if (!tables_.FindPmd(page)) {
      page = VirtAddr((page.value() | (kPmdSize - 1)) + 1);
      continue;
    }
    const PageView view = ViewPage(fault_target_, page);
    if (view.present || view.guard) visit(page, view);
    page += kPageSize;
  }
}

}  // namespace faultline
