// SPDX-License-Identifier: Apache-2.0
//
// Accesses, one RPC each; see memory_service.h. Nearly all find what they need without waiting and
// are carried out on the transport's thread; one that would have to sleep is made again on a
// worker.
#include <optional>
#include <utility>

#include "core/folio/no_wait_scope.h"
#include "core/mm/mm.h"
#include "core/observe/fault_events.h"
#include "server/fault_messages.h"
#include "server/memory_service.h"
#include "server/options.h"

namespace faultline::server {
namespace {

/// Makes the access on a use of the mm, with or without the right to sleep.
template <class Access>
Attempt Make(Mm& mm, Patience patience, v1::AccessResult& result, const Access& access) {
  AccessOutcome outcome;
  if (patience == Patience::kNoWait) {
    const NoWaitScope no_wait;
    outcome = access(mm);
  } else {
    const MmCall killable(mm);
    outcome = access(mm);
  }
  if (outcome.end == AccessEnd::kWouldWait) return {.would_wait = true};
  ToProto(outcome, result);
  return {};
}

}  // namespace

template <class Request, class Response, class Access>
MemoryService::Reactor* MemoryService::AccessCall(Context* context, const Request* request,
                                                  Response* response, Access access) {
  return calls_.InlineOrWorker(context, request, response, [=, this](Patience patience) -> Attempt {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return {.refusal = std::move(mm.refusal())};
    return Make(mm->mm(), patience, *response->mutable_result(), access);
  });
}

MemoryService::Reactor* MemoryService::Fault(Context* context, const v1::FaultRequest* request,
                                             v1::FaultResponse* response) {
  return calls_.InlineOrWorker(context, request, response, [=, this](Patience patience) -> Attempt {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return {.refusal = std::move(mm.refusal())};
    OrRefusal<AccessKind> access = ToCore(request->access(), "access");
    if (!access.ok()) return {.refusal = std::move(access.refusal())};
    OrRefusal<FaultMode> mode = ToCore(request->mode(), "mode");
    if (!mode.ok()) return {.refusal = std::move(mode.refusal())};

    std::optional<FaultEventRing> events;
    if (request->explain()) events.emplace(1);
    const FaultRecording recording(events ? &*events : nullptr);
    Attempt attempt = Make(mm->mm(), patience, *response->mutable_result(), [&](Mm& target) {
      return target.Fault({VirtAddr(request->address()), *access, *mode});
    });
    if (attempt.would_wait || !events) return attempt;
    if (const auto event = events->Last()) ToProto(*event, *response->mutable_explanation());
    return attempt;
  });
}

MemoryService::Reactor* MemoryService::Touch(Context* context, const v1::TouchRequest* request,
                                             v1::TouchResponse* response) {
  return calls_.InlineOrWorker(context, request, response, [=, this](Patience patience) -> Attempt {
    OrRefusal<MmUse> mm = calls_.registry().UseMm(request->mm(), "mm");
    if (!mm.ok()) return {.refusal = std::move(mm.refusal())};
    OrRefusal<AccessKind> access = ToCore(request->access(), "access");
    if (!access.ok()) return {.refusal = std::move(access.refusal())};
    return Make(mm->mm(), patience, *response->mutable_result(),
                [&](Mm& target) { return target.Touch(VirtAddr(request->address()), *access); });
  });
}

MemoryService::Reactor* MemoryService::Read(Context* context, const v1::ReadRequest* request,
                                            v1::ReadResponse* response) {
  return AccessCall(context, request, response, [=](Mm& mm) {
    uint64_t word = 0;
    const AccessOutcome outcome = mm.Read(VirtAddr(request->address()), word);
    response->set_word(outcome.ok() ? word : 0);
    return outcome;
  });
}

MemoryService::Reactor* MemoryService::Write(Context* context, const v1::WriteRequest* request,
                                             v1::WriteResponse* response) {
  return AccessCall(context, request, response, [=](Mm& mm) {
    return mm.Write(VirtAddr(request->address()), request->word());
  });
}

}  // namespace faultline::server
