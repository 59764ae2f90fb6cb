// SPDX-License-Identifier: Apache-2.0
//
// MemoryService (memory.proto): mms, system calls on them and accesses to them. The stream Attach
// is attach.h.
//
// System calls run on workers, since each takes mmap_lock; accesses run on the transport's thread
// as long as they need not wait.
#pragma once

#include "faultline/v1/memory.grpc.pb.h"
#include "server/attach_streams.h"
#include "server/unary.h"

namespace faultline::server {

class MemoryService final : public v1::MemoryService::CallbackService {
 public:
  /// Both outlive it.
  MemoryService(Calls& calls, AttachStreams& streams) : calls_(calls), streams_(streams) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* CreateMm(Context* context, const v1::CreateMmRequest* request,
                    v1::CreateMmResponse* response) override;
  Reactor* GetMm(Context* context, const v1::GetMmRequest* request,
                 v1::GetMmResponse* response) override;
  Reactor* ListMms(Context* context, const v1::ListMmsRequest* request,
                   v1::ListMmsResponse* response) override;
  Reactor* ForkMm(Context* context, const v1::ForkMmRequest* request,
                  v1::ForkMmResponse* response) override;
  Reactor* ExitMm(Context* context, const v1::ExitMmRequest* request,
                  v1::ExitMmResponse* response) override;
  Reactor* ImportVmas(Context* context, const v1::ImportVmasRequest* request,
                      v1::ImportVmasResponse* response) override;

  Reactor* Mmap(Context* context, const v1::MmapRequest* request,
                v1::MmapResponse* response) override;
  Reactor* Munmap(Context* context, const v1::MunmapRequest* request,
                  v1::MunmapResponse* response) override;
  Reactor* Mprotect(Context* context, const v1::MprotectRequest* request,
                    v1::MprotectResponse* response) override;
  Reactor* Mremap(Context* context, const v1::MremapRequest* request,
                  v1::MremapResponse* response) override;
  Reactor* Madvise(Context* context, const v1::MadviseRequest* request,
                   v1::MadviseResponse* response) override;
  Reactor* Mseal(Context* context, const v1::MsealRequest* request,
                 v1::MsealResponse* response) override;
  Reactor* Brk(Context* context, const v1::BrkRequest* request, v1::BrkResponse* response) override;
  Reactor* Mlock(Context* context, const v1::MlockRequest* request,
                 v1::MlockResponse* response) override;
  Reactor* Munlock(Context* context, const v1::MunlockRequest* request,
                   v1::MunlockResponse* response) override;
  Reactor* Mlockall(Context* context, const v1::MlockallRequest* request,
                    v1::MlockallResponse* response) override;
  Reactor* Munlockall(Context* context, const v1::MunlockallRequest* request,
                      v1::MunlockallResponse* response) override;

  Reactor* Fault(Context* context, const v1::FaultRequest* request,
                 v1::FaultResponse* response) override;
  Reactor* Touch(Context* context, const v1::TouchRequest* request,
                 v1::TouchResponse* response) override;
  Reactor* Read(Context* context, const v1::ReadRequest* request,
                v1::ReadResponse* response) override;
  Reactor* Write(Context* context, const v1::WriteRequest* request,
                 v1::WriteResponse* response) override;

  Reactor* ReclaimTables(Context* context, const v1::ReclaimTablesRequest* request,
                         v1::ReclaimTablesResponse* response) override;

  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(Context* context) override;

 private:
  /// A system call on the mm that the request names: `call` takes the Mm.
  template <class Request, class Response, class Call>
  Reactor* SystemCall(Context* context, const Request* request, Response* response, Call call);
  /// An access: `access` takes the Mm and returns an AccessOutcome.
  template <class Request, class Response, class Access>
  Reactor* AccessCall(Context* context, const Request* request, Response* response, Access access);

  Calls& calls_;
  AttachStreams& streams_;
};

}  // namespace faultline::server
