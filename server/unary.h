// SPDX-License-Identifier: Apache-2.0
//
// How a unary call is carried out: what all services share. A handler is a body that fills in the
// response and returns nothing, or a Refusal; everything around it is here: the checks of metadata,
// instance_epoch, where it runs, cancellation, the status.
//
//   class MyService final : public v1::MyService::CallbackService {
//     grpc::ServerUnaryReactor* GetThing(grpc::CallbackServerContext* context,
//                                        const v1::GetThingRequest* request,
//                                        v1::GetThingResponse* response) override {
//       return calls_.Inline(context, request, response, [=, this]() -> MaybeRefusal {
//         OrRefusal<MmUse> mm = calls_.registry().UseMm(request->name(), "name");
//         if (!mm.ok()) return std::move(mm.refusal());
//         ...
//         return {};
//       });
//     }
//     Calls& calls_;
//   };
//
// Inline: on the transport's thread. For what cannot sleep: it takes no mmap_lock, allocates little
//   and waits for nobody.
// OnWorker: on a thread of the pool, whose task is killed when the call is cancelled or its time is
//   over. For what may sleep; MmCall is the way into an mm.
// InlineOrWorker: tries on the transport's thread, under the condition that it need not wait, and
//   where that fails once more on a worker. For accesses: nearly all find what they need.
// Later: the body starts something and whoever finishes it calls back.
//
// Request and response live until the call is finished. A body that refuses leaves the state as it
// was; the response is then not sent.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "core/sync/task.h"
#include "server/refusal.h"
#include "server/registry.h"
#include "server/status.h"

namespace faultline::server {

/// What a body that was to do without waiting came to.
struct Attempt {
  bool would_wait = false;  ///< nothing was carried out: it has to be done where it may sleep
  // NOLINTNEXTLINE(readability-redundant-member-init): GCC wants it to be left out at will
  MaybeRefusal refusal = {};
};
enum class Patience : uint8_t { kMayWait, kNoWait };

/// While it lives, the calling task works for the mm: its exit ends the task's killable waits. For
/// bodies on workers; the use outlives it.
class [[nodiscard]] MmCall {
 public:
  explicit MmCall(Mm& mm) : mm_(mm) { mm_.AttachTask(CurrentTask()); }
  ~MmCall() { mm_.DetachTask(CurrentTask()); }
  MmCall(const MmCall&) = delete;
  MmCall& operator=(const MmCall&) = delete;

 private:
  Mm& mm_;
};

/// A call that runs on a worker, up to its end. Deletes itself.
class WorkerCall : public grpc::ServerUnaryReactor {
 public:
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override { delete this; }

 protected:
  /// On the worker: runs the body as a task that can be killed.
  [[nodiscard]] MaybeRefusal RunKillable(const std::function<MaybeRefusal()>& body)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  Task* task_ ABSL_GUARDED_BY(mutex_) = nullptr;  ///< while the body runs
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

class Calls {
 public:
  enum class Routing : uint8_t { kAnyCall, kHeaderRequired };

  /// It outlives the calls.
  explicit Calls(Registry& registry, Routing routing = Routing::kAnyCall)
      : registry_(registry), routing_(routing) {}

  template <class Request, class Response, class Body>
  grpc::ServerUnaryReactor* Inline(grpc::CallbackServerContext* context, const Request* request,
                                   Response* response, const Body& body) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    MaybeRefusal refusal = Admit(*context, *request);
    if (!refusal) {
      response->set_instance_epoch(registry_.epoch().value());
      refusal = body();
    }
    reactor->Finish(StatusOf(refusal));
    return reactor;
  }

  template <class Request, class Response, class Body>
  grpc::ServerUnaryReactor* OnWorker(grpc::CallbackServerContext* context, const Request* request,
                                     Response* response, Body body) {
    if (MaybeRefusal refusal = Admit(*context, *request)) {
      grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
      reactor->Finish(StatusOf(refusal));
      return reactor;
    }
    response->set_instance_epoch(registry_.epoch().value());
    return Post(std::move(body));
  }

  /// `body` takes a Patience and returns an Attempt.
  template <class Request, class Response, class Body>
  grpc::ServerUnaryReactor* InlineOrWorker(grpc::CallbackServerContext* context,
                                           const Request* request, Response* response, Body body) {
    Attempt attempt{.would_wait = false, .refusal = Admit(*context, *request)};
    if (!attempt.refusal) {
      response->set_instance_epoch(registry_.epoch().value());
      attempt = body(Patience::kNoWait);
    }
    if (attempt.would_wait) return Post([body] { return body(Patience::kMayWait).refusal; });
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(StatusOf(attempt.refusal));
    return reactor;
  }

  /// Ends a call that Later began. Called once; any thread.
  using Finish = std::function<void(MaybeRefusal)>;

  /// `body` takes a Finish, and either has it called later or returns a refusal.
  template <class Request, class Response, class Body>
  grpc::ServerUnaryReactor* Later(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response, const Body& body) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    MaybeRefusal refusal = Admit(*context, *request);
    if (!refusal) {
      response->set_instance_epoch(registry_.epoch().value());
      refusal = body([this, reactor](const MaybeRefusal& end) { reactor->Finish(StatusOf(end)); });
    }
    if (refusal) reactor->Finish(StatusOf(refusal));
    return reactor;
  }

  /// The checks that every call goes through first, streams too: draining, the epoch and the
  /// routing in its metadata.
  [[nodiscard]] MaybeRefusal Admit(const grpc::CallbackServerContext& context,
                                   const google::protobuf::Message& request) const;
  /// Of those, the routing alone, for a request that comes later: `name` is what it names.
  [[nodiscard]] MaybeRefusal CheckRouting(const grpc::CallbackServerContext& context,
                                          std::string_view name) const;
  [[nodiscard]] grpc::Status StatusOf(const MaybeRefusal& refusal) const {
    return refusal ? ToStatus(*refusal, registry_.epoch().value()) : grpc::Status::OK;
  }

  /// From now on new calls are refused.
  void Drain() { draining_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_relaxed); }

  [[nodiscard]] Registry& registry() { return registry_; }

 private:
  template <class Body>
  class OnWorkerCall final : public WorkerCall {
   public:
    OnWorkerCall(Calls& calls, Body body) : calls_(calls), body_(std::move(body)) {}
    void Run() { Refuse(RunKillable(body_)); }
    /// Or finishes well.
    void Refuse(const MaybeRefusal& refusal) { Finish(calls_.StatusOf(refusal)); }

   private:
    Calls& calls_;
    const Body body_;
  };

  /// To a worker, a call that was admitted: it is not asked again, since a drain may have begun.
  template <class Body>
  grpc::ServerUnaryReactor* Post(Body body) {
    auto* call = new OnWorkerCall<Body>(*this, std::move(body));
    if (!registry_.pool().TryPost([call] { call->Run(); })) {
      call->Refuse(NoThreadForIt("Limits.unary_queue", registry_.limits().unary_queue));
    }
    return call;
  }

  Registry& registry_;
  const Routing routing_;
  std::atomic<bool> draining_{false};
};

}  // namespace faultline::server
