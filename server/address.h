// SPDX-License-Identifier: Apache-2.0
//
// Where the server listens: a TCP address or a unix socket, as flags spell it.
//
//   127.0.0.1:50051   [::1]:50051   localhost:50051   0.0.0.0:50051   unix:/run/faultlined.sock
//
// Hosts are numeric or `localhost`: a name would be looked up, and what a server may be reached
// from must not depend on what a resolver says. Port 0 lets the host choose.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace faultline::server {

struct Address {
  enum class Kind : uint8_t { kTcp, kUnix };

  Kind kind = Kind::kTcp;
  std::string host;   ///< TCP: numeric, without brackets
  uint16_t port = 0;  ///< TCP
  std::string path;   ///< unix: of the socket

  /// Whether only this host can reach it.
  [[nodiscard]] bool IsLocal() const;
  /// As a flag spells it, and as gRPC takes it.
  [[nodiscard]] std::string Text() const;
  /// How a client on this host reaches it: not by 0.0.0.0, but by 127.0.0.1.
  [[nodiscard]] Address ForLocalClient() const;

  bool operator==(const Address&) const = default;
};

/// What `text` means, or, as a sentence, what is allowed instead.
[[nodiscard]] std::variant<Address, std::string> ParseAddress(const std::string& text);

/// Why nothing can listen there now, as a sentence with the system's reason; empty if it can. A
/// socket file that nobody listens on any more is removed. Says what gRPC does not: it would take
/// over the socket of a server that is alive, and has one error for everything. What can change
/// until gRPC binds, it still notices.
[[nodiscard]] std::string WhyNotBindable(const Address& address);

/// Whether somebody listens at this TCP address, reached from this host. Makes a connection and
/// closes it.
[[nodiscard]] bool AnswersLocally(const Address& address);

}  // namespace faultline::server
