// SPDX-License-Identifier: Apache-2.0
//
// Files of machines; see machine_service.h.
//
// A file's name is one reference to its cache. The last reference goes with the name or with the
// last mapping, and with it all pages: that may be many, and is left to a worker.
#include <string>
#include <utility>

#include "server/machine_message.h"
#include "server/machine_service.h"
#include "server/page_token.h"

namespace faultline::server {
namespace {

constexpr size_t kFilesByDefault = 100;

}  // namespace

MachineService::Reactor* MachineService::CreateFile(Context* context,
                                                    const v1::CreateFileRequest* request,
                                                    v1::CreateFileResponse* response) {
  return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
    auto machine = calls_.registry().FindMachine(request->parent(), "parent");
    if (!machine.ok()) return std::move(machine.refusal());
    if (auto refusal = Check(request->file(), "file")) return refusal;
    auto file = (*machine)->CreateFile(request->file().path(), request->file().size());
    if (!file.ok()) return std::move(file.refusal());
    ToProto(**machine, *file, *response->mutable_file());
    return {};
  });
}

MachineService::Reactor* MachineService::GetFile(Context* context,
                                                 const v1::GetFileRequest* request,
                                                 v1::GetFileResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<NamedFile> found = calls_.registry().FindFile(request->name(), "name");
    if (!found.ok()) return std::move(found.refusal());
    ToProto(*found->machine, found->file, *response->mutable_file());
    return {};
  });
}

MachineService::Reactor* MachineService::ListFiles(Context* context,
                                                   const v1::ListFilesRequest* request,
                                                   v1::ListFilesResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    const Registry& registry = calls_.registry();
    auto machine = registry.FindMachine(request->parent(), "parent");
    if (!machine.ok()) return std::move(machine.refusal());
    const std::string list = "ListFiles " + request->parent();
    OrRefusal<uint64_t> from = PageNumber(registry.epoch(), list, request->page_token());
    if (!from.ok()) return std::move(from.refusal());
    const size_t size = PageSize(request->page_size(), kFilesByDefault, registry.limits());
    const auto files = (*machine)->FilesFrom(*from, size + 1);
    for (size_t i = 0; i < files.size() && i < size; ++i) {
      ToProto(**machine, files[i], *response->add_files());
    }
    if (files.size() > size) {
      response->set_next_page_token(PageToken(registry.epoch(), list, files[size].number));
    }
    return {};
  });
}

MachineService::Reactor* MachineService::DeleteFile(Context* context,
                                                    const v1::DeleteFileRequest* request,
                                                    v1::DeleteFileResponse* response) {
  return calls_.OnWorker(context, request, response, [=, this]() -> MaybeRefusal {
    OrRefusal<NamedFile> found = calls_.registry().FindFile(request->name(), "name");
    if (!found.ok()) return std::move(found.refusal());
    return found->machine->DeleteFile(found->file.number, "name");
  });
}

}  // namespace faultline::server
