// SPDX-License-Identifier: Apache-2.0
//
// The gRPC server around the services: where it listens, what it limits, how it ends. It adds
// health (Check and Watch), reflection and channelz to the services that it is given, and knows
// nothing of what those do.
//
// A drain: health says NOT_SERVING to all who ask and watch; the calls that had begun are finished,
// while the services refuse new ones (DRAINING); then connections get GOAWAY, and calls of gRPC's
// own services, which need not end by themselves, are cancelled. Guarantee: a call of the services
// that had begun when the drain did is cancelled only by the deadline or a second signal.
//
// Why GOAWAY comes last: gRPC cancels what a client sends before it has seen it, without a reason
// that would tell the client to try elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include "server/address.h"
#include "server/call_tracker.h"
#include "server/limits.h"
#include "server/log.h"

namespace faultline::server {

/// A service with the full name that its proto gives it.
struct NamedService {
  std::string name;
  grpc::Service* service = nullptr;  ///< not owned
};

class Server {
 public:
  enum class DrainResult : uint8_t { kFinished, kCutShort };

  /// Serves, or says why not, as a sentence that names the address if one is to blame. `tracker`
  /// and the services outlive it.
  [[nodiscard]] static std::variant<std::unique_ptr<Server>, std::string> Start(
      const std::vector<Address>& listen, const Limits& limits,
      const std::vector<NamedService>& services, CallTracker& tracker);
  /// Cancels what is under way, if there was no drain.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Where it listens, with the ports that the host chose.
  [[nodiscard]] const std::vector<Address>& addresses() const { return addresses_; }

  /// Ends the service, once, after the services were told to refuse new calls. Returns when all
  /// calls have gone: at the latest when those that the deadline, or CutShort, cancelled have.
  [[nodiscard]] DrainResult Drain(std::chrono::seconds patience);
  /// Ends a drain now. By any thread.
  void CutShort();

 private:
  Server(const std::vector<Address>& listen, CallTracker& tracker)
      : addresses_(listen), tracker_(tracker) {}

  std::vector<Address> addresses_;
  CallTracker& tracker_;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<bool> cut_short_{false};
};

/// Switches off the search for deadlocks in absl's mutexes, which are gRPC's, too. Debian's build
/// of absl has it on: every acquisition in the process then takes one global lock. Programs call it
/// first of all; tests keep the search.
void DisableMutexDeadlockDetection();

/// Lets gRPC's messages, which are about its own troubles, go to `log`, which outlives all of gRPC.
void SendGrpcMessagesTo(Log& log);

}  // namespace faultline::server
