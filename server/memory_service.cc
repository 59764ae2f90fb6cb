// SPDX-License-Identifier: Apache-2.0
//
// Mms: made, listed, forked, ended, filled from recordings; see memory_service.h.
#include "server/memory_service.h"

#include <utility>
#include <vector>

#include "core/mm/mm.h"
#include "core/vma/vma_flags.h"
#include "server/mm_message.h"
#include "server/names.h"
#include "server/options.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

constexpr size_t kMmsByDefault = 100;

/// One VMA of an import, checked.
struct Import {
  VirtRange range;
  VmaFlags flags = 0;
  // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
  FileRef file = {};
  Mapping* mapping = nullptr;
  PageIndex pgoff = PageIndex(0);
};

MaybeRefusal CheckPlace(const v1::ImportedVma& vma, VirtAddr end, const std::string& path) {
  constexpr const char* kAllowed = "multiples of 4096 in user space, start below end";
  if (!IsPageAligned(vma.start())) return OutOfRange(path + ".start", vma.start(), kAllowed);
  if (!IsPageAligned(vma.end()) || vma.end() <= vma.start() || vma.end() > end.value()) {
    return OutOfRange(path + ".end", vma.end(), kAllowed);
  }
  if ((vma.vma_flags() & ~vma_flag::kAll) != 0) {
    return OutOfRange(path + ".vma_flags", vma.vma_flags(), "the bits of core/vma/vma_flags.h");
  }
  if (vma.file().empty() && (vma.vma_flags() & vma_flag::kShared) != 0) {
    return OutOfRange(path + ".vma_flags", vma.vma_flags(),
                      "VM_SHARED with a file only, which shared anonymous memory has, too");
  }
  if (!vma.file().empty() && !IsPageAligned(vma.offset())) {
    return OutOfRange(path + ".offset", vma.offset(), "a multiple of 4096");
  }
  return {};
}

OrRefusal<Import> CheckImport(const Registry& registry, const MmUse& mm, const v1::ImportedVma& vma,
                              const std::string& path) {
  if (auto refusal = CheckPlace(vma, mm.mm().task_size(), path)) return *std::move(refusal);
  Import import{.range = VirtRange(VirtAddr(vma.start()), VirtAddr(vma.end())),
                .flags = vma.vma_flags()};
  if (vma.file().empty()) {
    import.pgoff = PageIndex(vma.start() >> kPageShift);  // as anonymous memory has it
    return import;
  }
  OrRefusal<MachineEntry::File> file =
      registry.FindFileOf(mm.entry().machine(), vma.file(), path + ".file");
  if (!file.ok()) return std::move(file.refusal());
  import.file = std::move(file->ref);
  import.mapping = &import.file.mapping();
  import.pgoff = PageIndex(vma.offset() >> kPageShift);
  return import;
}

}  // namespace

MemoryService::Reactor* MemoryService::CreateMm(Context* context,
                                                const v1::CreateMmRequest* request,
                                                v1::CreateMmResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->parent(), "parent");
    if (!machine.ok()) return std::move(machine.refusal());
    OrRefusal<MmUse> mm = server::CreateMm(**machine, request->mm(), MmLife::kUntilExit, "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    ToProto(*mm, *response->mutable_mm());
    return {};
  });
}

MemoryService::Reactor* MemoryService::GetMm(Context* context, const v1::GetMmRequest* request,
                                             v1::GetMmResponse* response) {
  return calls_.Inline(context, request, response, [&]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->name(), "name");
    if (!mm.ok()) return std::move(mm.refusal());
    ToProto(*mm, *response->mutable_mm());
    return {};
  });
}

MemoryService::Reactor* MemoryService::ListMms(Context* context, const v1::ListMmsRequest* request,
                                               v1::ListMmsResponse* response) {
  return calls_.Inline(context, request, response, [&]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->parent(), "parent");
    if (!machine.ok()) return std::move(machine.refusal());
    const Epoch& epoch = calls_.registry().epoch();
    const std::string list = "ListMms " + request->parent();
    OrRefusal<uint64_t> first = PageNumber(epoch, list, request->page_token());
    if (!first.ok()) return std::move(first.refusal());

    const size_t size = PageSize(request->page_size(), kMmsByDefault, calls_.registry().limits());
    // One more than the page has, to know where the next one begins.
    const auto mms = (*machine)->MmsFrom(*first, size + 1);
    for (size_t i = 0; i < mms.size() && i < size; ++i) {
      v1::Mm& mm = *response->add_mms();
      if (const MmUse use = mms[i]->TryUse()) {
        ToProto(use, mm);
      } else {
        mm.set_name(mms[i]->name());
        mm.set_exiting(true);
      }
    }
    if (mms.size() > size) {
      response->set_next_page_token(PageToken(epoch, list, mms[size]->options().number));
    }
    return {};
  });
}

MemoryService::Reactor* MemoryService::ForkMm(Context* context, const v1::ForkMmRequest* request,
                                              v1::ForkMmResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> parent = calls_.registry().UseMm(request->mm(), "mm");
    if (!parent.ok()) return std::move(parent.refusal());
    const MmCall call(parent->mm());
    auto forked = parent->entry().machine().ForkMm(parent->entry(), MmLife::kUntilExit);
    if (!forked.ok()) return std::move(forked.refusal());
    if (!forked->ok()) {
      response->set_error(ToProto(forked->error()));
      return {};
    }
    ToProto(forked->value(), *response->mutable_mm());
    return {};
  });
}

MemoryService::Reactor* MemoryService::ExitMm(Context* context, const v1::ExitMmRequest* request,
                                              v1::ExitMmResponse* response) {
  return calls_.Later(context, request, response, [&](const Calls::Finish& finish) -> MaybeRefusal {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->name(), "name");
    if (!mm.ok()) return std::move(mm.refusal());
    if (mm->entry().Exit([finish] { finish({}); })) return {};
    return MmExited("name", request->name());
  });
}

MemoryService::Reactor* MemoryService::ImportVmas(Context* context,
                                                  const v1::ImportVmasRequest* request,
                                                  v1::ImportVmasResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    const uint64_t most = calls_.registry().limits().max_batch_operations;
    const auto count = static_cast<size_t>(request->vmas_size());
    if (count > most) {
      return OutOfRange("vmas", count, "at most " + std::to_string(most) + " elements");
    }
    std::vector<Import> imports;
    imports.reserve(count);
    for (int i = 0; i < request->vmas_size(); ++i) {
      OrRefusal<Import> import =
          CheckImport(calls_.registry(), *mm, request->vmas(i), "vmas[" + std::to_string(i) + "]");
      if (!import.ok()) return std::move(import.refusal());
      imports.push_back(*std::move(import));
    }
    const MmCall call(mm->mm());
    for (const Import& import : imports) {
      const Result<void> done =
          mm->mm().Import(import.range, import.flags, import.mapping, import.pgoff);
      if (!done.ok()) {
        response->set_error(ToProto(done.error()));
        break;
      }
      response->set_imported(response->imported() + 1);
    }
    return {};
  });
}

MemoryService::Reactor* MemoryService::ReclaimTables(Context* context,
                                                     const v1::ReclaimTablesRequest* request,
                                                     v1::ReclaimTablesResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<NamedFile> file = calls_.registry().FindFile(request->file(), "file");
    if (!file.ok()) return std::move(file.refusal());
    Mm::ReclaimTables(file->file.ref.mapping());
    return {};
  });
}

}  // namespace faultline::server
