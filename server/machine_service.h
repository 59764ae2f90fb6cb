// SPDX-License-Identifier: Apache-2.0
//
// MachineService (machine.proto): the server itself, machines and their tunables, files, fault
// injection.
//
// What makes or ends something large runs on workers: a machine reserves address space, a file's
// end frees its pages. All else takes locks that are held for a moment only, and is carried out on
// the transport's thread.
#pragma once

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>

#include "faultline/v1/machine.grpc.pb.h"
#include "server/unary.h"

namespace faultline::server {

class MachineService final : public v1::MachineService::CallbackService {
 public:
  /// `calls` outlives it. The server started when this was made.
  explicit MachineService(Calls& calls);

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* GetServerInfo(Context* context, const v1::GetServerInfoRequest* request,
                         v1::GetServerInfoResponse* response) override;
  Reactor* ListSchemes(Context* context, const v1::ListSchemesRequest* request,
                       v1::ListSchemesResponse* response) override;

  Reactor* CreateMachine(Context* context, const v1::CreateMachineRequest* request,
                         v1::CreateMachineResponse* response) override;
  Reactor* GetMachine(Context* context, const v1::GetMachineRequest* request,
                      v1::GetMachineResponse* response) override;
  Reactor* ListMachines(Context* context, const v1::ListMachinesRequest* request,
                        v1::ListMachinesResponse* response) override;
  Reactor* UpdateTunables(Context* context, const v1::UpdateTunablesRequest* request,
                          v1::UpdateTunablesResponse* response) override;
  Reactor* DeleteMachine(Context* context, const v1::DeleteMachineRequest* request,
                         v1::DeleteMachineResponse* response) override;

  Reactor* CreateFile(Context* context, const v1::CreateFileRequest* request,
                      v1::CreateFileResponse* response) override;
  Reactor* GetFile(Context* context, const v1::GetFileRequest* request,
                   v1::GetFileResponse* response) override;
  Reactor* ListFiles(Context* context, const v1::ListFilesRequest* request,
                     v1::ListFilesResponse* response) override;
  Reactor* DeleteFile(Context* context, const v1::DeleteFileRequest* request,
                      v1::DeleteFileResponse* response) override;

  Reactor* SetFailPoint(Context* context, const v1::SetFailPointRequest* request,
                        v1::SetFailPointResponse* response) override;

 private:
  [[nodiscard]] MaybeRefusal Update(Machine& machine, const v1::Tunables& changes,
                                    v1::Tunables& now) ABSL_LOCKS_EXCLUDED(mutex_);

  Calls& calls_;
  const absl::Time start_time_;
  /// Held while tunables or a fail point are read and changed: one change at a time, of whichever
  /// machine.
  absl::Mutex mutex_;
};

}  // namespace faultline::server
