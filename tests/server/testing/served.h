// SPDX-License-Identifier: Apache-2.0
//
// Served: the whole server in this process, behind a unix socket in a directory of its own, with a
// client; and the client's half of Attach. So a test sees what a client sees, and beside it the
// core's objects: it can hold an mm's lock, count frames, and validate.
//
//   Served served;
//   const std::string mm = served.MakeMm();
//   const auto reply = served.Call(&MemoryStub::Mmap, request);
//
// Every call has a deadline of kPatience unless the test sets another, so that what hangs fails.
// Invariant at its end: every mm that is left is valid.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <absl/functional/function_ref.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include "faultline/v1/memory.grpc.pb.h"
#include "server/call_tracker.h"
#include "server/config.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/registry.h"
#include "server/server.h"
#include "server/services.h"

namespace faultline::server::testing {

using MemoryStub = v1::MemoryService::Stub;

inline constexpr std::chrono::seconds kPatience{20};

/// A directory that is removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Waits until `condition` holds, looking again and again; false after kPatience.
[[nodiscard]] bool Eventually(absl::FunctionRef<bool()> condition);

/// How a call ended.
template <class Response>
struct Reply {
  grpc::Status status;
  Response response;
};

/// How a call is made.
struct CallOptions {
  std::chrono::milliseconds deadline = kPatience;
  std::function<void(grpc::ClientContext&)> prepare = [](grpc::ClientContext&) {};
};
/// With one element of metadata.
[[nodiscard]] CallOptions WithMetadata(const std::string& key, const std::string& value);

class Served {
 public:
  explicit Served(const Config& config = {});
  explicit Served(const Limits& limits);
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  [[nodiscard]] MemoryStub& memory() { return *memory_; }
  [[nodiscard]] Registry& registry() { return services_->registry(); }
  [[nodiscard]] Services& services() { return *services_; }
  /// A connection of its own.
  [[nodiscard]] std::shared_ptr<grpc::Channel> NewChannel() const;

  template <class Request, class Response>
  [[nodiscard]] Reply<Response> Call(grpc::Status (MemoryStub::*method)(grpc::ClientContext*,
                                                                        const Request&, Response*),
                                     const Request& request, const CallOptions& options = {}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + options.deadline);
    options.prepare(context);
    Reply<Response> reply;
    reply.status = (*memory_.*method)(&context, request, &reply.response);
    return reply;
  }

  /// A new mm of machines/default; its name.
  [[nodiscard]] std::string MakeMm(const v1::Mm& mm = {});
  /// `pages` of private anonymous memory, readable and writable; where.
  [[nodiscard]] uint64_t MapPages(const std::string& mm, uint64_t pages);
  /// The mm of that name, to be used directly.
  [[nodiscard]] MmUse Use(const std::string& mm);
  /// What is to be equal before and after something that changes nothing: the machine's mms as a
  /// client sees them, their statistics, threads, free frames. Validates each mm, so no call is
  /// under way.
  [[nodiscard]] std::string State();
  /// Whether nothing is left of what tests made: no mm, no thread.
  [[nodiscard]] bool IsEmpty();
  [[nodiscard]] MachineEntry& default_machine();

 private:
  TemporaryDirectory directory_;
  Config config_;
  Log log_;
  Metrics metrics_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<CallTracker> tracker_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<MemoryStub> memory_;
};

/// One simulated thread, from the client's side. Each step waits for the server's answer.
class Attached {
 public:
  explicit Attached(MemoryStub& stub, const CallOptions& options = {});
  /// Opens it, too.
  Attached(MemoryStub& stub, const v1::AttachOpen& open, const CallOptions& options = {});
  /// Cancels what has not ended.
  ~Attached();
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

  bool Send(const v1::AttachRequest& request) { return stream_->Write(request); }
  bool Send(const v1::OperationBatch& batch);
  /// The next message; nothing when the server's side has ended.
  [[nodiscard]] std::optional<v1::AttachResponse> Receive();
  /// Sends and receives; an empty result if the stream has ended.
  [[nodiscard]] v1::OperationResults Run(const v1::OperationBatch& batch);
  /// The answer to the opening; nothing if it was refused.
  [[nodiscard]] const std::optional<v1::AttachOpened>& opened() const { return opened_; }

  void CloseSending() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }
  /// Closes this side, reads what is left, and the status.
  grpc::Status End();
  /// Only reads what is left, and the status.
  grpc::Status Finish();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>> stream_;
  std::optional<v1::AttachOpened> opened_;
  std::optional<grpc::Status> status_;
};

}  // namespace faultline::server::testing
