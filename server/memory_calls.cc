// SPDX-License-Identifier: Apache-2.0
//
// System calls, one RPC each; see memory_service.h. Arguments are raw: what is wrong with them the
// simulated kernel answers.
#include <utility>

#include "core/mm/abi.h"
#include "core/mm/mm.h"
#include "server/memory_service.h"
#include "server/options.h"

namespace faultline::server {
namespace {

template <class Response>
void SetError(const Result<void>& result, Response& response) {
  if (!result.ok()) response.set_error(ToProto(result.error()));
}

/// Of calls that give an address.
template <class Response>
void SetAddress(const Result<VirtAddr>& result, Response& response) {
  if (result.ok()) {
    response.set_address(result->value());
  } else {
    response.set_error(ToProto(result.error()));
  }
}

}  // namespace

template <class Request, class Response, class Call>
MemoryService::Reactor* MemoryService::SystemCall(Context* context, const Request* request,
                                                  Response* response, Call call) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    const MmCall killable(mm->mm());
    call(mm->mm());
    return {};
  });
}

MemoryService::Reactor* MemoryService::Mmap(Context* context, const v1::MmapRequest* request,
                                            v1::MmapResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return std::move(mm.refusal());
    constexpr uint64_t kOpenFileEnd = uint64_t{1} << 63;
    if (request->open_file() >= kOpenFileEnd) {
      return OutOfRange("open_file", request->open_file(), "0 to 2^63 - 1");
    }
    FileRef file;
    MmapArgs args{.addr = VirtAddr(request->address()),
                  .length = request->length(),
                  .prot = request->prot(),
                  .flags = request->flags(),
                  .file = nullptr,
                  .file_writable = !request->read_only_file(),
                  .open_file = request->open_file(),
                  .offset = request->offset()};
    if (!request->file().empty() && (request->flags() & abi::kMapAnonymous) == 0) {
      auto named = calls_.registry().FindFileOf(mm->entry().machine(), request->file(), "file");
      if (!named.ok()) return std::move(named.refusal());
      file = std::move(named->ref);
      args.file = &file.mapping();
    }
    const MmCall killable(mm->mm());
    SetAddress(mm->mm().Mmap(args), *response);
    return {};
  });
}

MemoryService::Reactor* MemoryService::Munmap(Context* context, const v1::MunmapRequest* request,
                                              v1::MunmapResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Munmap(VirtAddr(request->address()), request->length()), *response);
  });
}

MemoryService::Reactor* MemoryService::Mprotect(Context* context,
                                                const v1::MprotectRequest* request,
                                                v1::MprotectResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Mprotect(VirtAddr(request->address()), request->length(), request->prot()),
             *response);
  });
}

MemoryService::Reactor* MemoryService::Mremap(Context* context, const v1::MremapRequest* request,
                                              v1::MremapResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetAddress(mm.Mremap(VirtAddr(request->address()), request->old_length(), request->new_length(),
                         request->flags(), VirtAddr(request->new_address())),
               *response);
  });
}

MemoryService::Reactor* MemoryService::Madvise(Context* context, const v1::MadviseRequest* request,
                                               v1::MadviseResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Madvise(VirtAddr(request->address()), request->length(), request->advice()),
             *response);
  });
}

MemoryService::Reactor* MemoryService::Mseal(Context* context, const v1::MsealRequest* request,
                                             v1::MsealResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Mseal(VirtAddr(request->address()), request->length(), request->flags()),
             *response);
  });
}

MemoryService::Reactor* MemoryService::Brk(Context* context, const v1::BrkRequest* request,
                                           v1::BrkResponse* response) {
  return SystemCall(context, request, response,
                    [=](Mm& mm) { SetAddress(mm.Brk(VirtAddr(request->address())), *response); });
}

MemoryService::Reactor* MemoryService::Mlock(Context* context, const v1::MlockRequest* request,
                                             v1::MlockResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Mlock2(VirtAddr(request->address()), request->length(), request->flags()),
             *response);
  });
}

MemoryService::Reactor* MemoryService::Munlock(Context* context, const v1::MunlockRequest* request,
                                               v1::MunlockResponse* response) {
  return SystemCall(context, request, response, [=](Mm& mm) {
    SetError(mm.Munlock(VirtAddr(request->address()), request->length()), *response);
  });
}

MemoryService::Reactor* MemoryService::Mlockall(Context* context,
                                                const v1::MlockallRequest* request,
                                                v1::MlockallResponse* response) {
  return SystemCall(context, request, response,
                    [=](Mm& mm) { SetError(mm.Mlockall(request->flags()), *response); });
}

MemoryService::Reactor* MemoryService::Munlockall(Context* context,
                                                  const v1::MunlockallRequest* request,
                                                  v1::MunlockallResponse* response) {
  return SystemCall(context, request, response,
                    [=](Mm& mm) { SetError(mm.Munlockall(), *response); });
}

}  // namespace faultline::server
