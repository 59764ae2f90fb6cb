// SPDX-License-Identifier: Apache-2.0
//
// Reading and trying addresses; see address.h. Trying means binding a socket of the same kind with
// the options that gRPC will use, and closing it again.
#include "server/address.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>

namespace faultline::server {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr size_t kMostPathBytes = sizeof(sockaddr_un::sun_path) - 1;

/// A descriptor that is closed.
class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

std::variant<Address, std::string> ParseUnix(const std::string& path) {
  if (path.empty() || path.size() > kMostPathBytes) {
    return absl::StrCat("the path of a unix socket has 1 to ", kMostPathBytes, " bytes");
  }
  return Address{.kind = Address::Kind::kUnix, .host = "", .port = 0, .path = path};
}

bool IsNumeric(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(host.find(':') == std::string::npos ? AF_INET : AF_INET6, host.c_str(),
                   &ignored) == 1;
}

/// `host` in the form that a socket is bound to; the length of it.
socklen_t FillTcp(const Address& address, sockaddr_storage& storage) {
  if (address.host.find(':') == std::string::npos) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
    std::memcpy(&storage, &in, sizeof(in));
    return sizeof(in);
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(address.port);
  inet_pton(AF_INET6, address.host.c_str(), &in.sin6_addr);
  std::memcpy(&storage, &in, sizeof(in));
  return sizeof(in);
}

socklen_t FillUnix(const Address& address, sockaddr_storage& storage) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  address.path.copy(un.sun_path, kMostPathBytes);
  std::memcpy(&storage, &un, sizeof(un));
  return sizeof(un);
}

const sockaddr* Generic(const sockaddr_storage& storage) {
  return reinterpret_cast<const sockaddr*>(&storage);
}

std::string Because(int error) { return std::strerror(error); }

std::string WhyTcpNotBindable(const Address& address) {
  sockaddr_storage storage{};
  const socklen_t size = FillTcp(address, storage);
  const Socket socket(storage.ss_family);
  const int on = 1;
  if (socket.fd() < 0 || setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(socket.fd(), Generic(storage), size) != 0 || listen(socket.fd(), 1) != 0) {
    return Because(errno);
  }
  return {};
}

std::string WhyUnixNotBindable(const Address& address) {
  struct stat status{};
  if (lstat(address.path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return "there is a file of that name that is no socket";
    sockaddr_storage storage{};
    const socklen_t size = FillUnix(address, storage);
    const Socket socket(AF_UNIX);
    // Refused: whoever made it has gone. Anything else, such as a full queue, is somebody.
    if (connect(socket.fd(), Generic(storage), size) == 0 || errno != ECONNREFUSED) {
      return Because(EADDRINUSE);
    }
    if (unlink(address.path.c_str()) != 0) return Because(errno);
  }
  const size_t slash = address.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : address.path.substr(0, slash + 1);
  return access(folder.c_str(), W_OK | X_OK) == 0 ? std::string() : Because(errno);
}

}  // namespace

bool Address::IsLocal() const {
  return kind == Kind::kUnix || host == "::1" || host.starts_with("127.");
}

std::string Address::Text() const {
  if (kind == Kind::kUnix) return absl::StrCat("unix:", path);
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

Address Address::ForLocalClient() const {
  Address local = *this;
  if (host == "0.0.0.0") local.host = "127.0.0.1";
  if (host == "::") local.host = "::1";
  return local;
}

std::variant<Address, std::string> ParseAddress(const std::string& text) {
  if (text.starts_with(kUnixPrefix)) return ParseUnix(text.substr(kUnixPrefix.size()));
  const size_t colon = text.rfind(':');
  constexpr const char* kForm = "allowed: HOST:PORT with a numeric host or localhost, or unix:PATH";
  if (colon == std::string::npos) return std::string(kForm);
  std::string host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  // A colon belongs into brackets, and nothing else does.
  if (!IsNumeric(host) || brackets != (host.find(':') != std::string::npos))
    return std::string(kForm);
  Address address = {.kind = Address::Kind::kTcp, .host = std::move(host), .port = 0, .path = ""};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (error != std::errc() || stop != end) return "ports are whole numbers from 0 to 65535";
  return address;
}

std::string WhyNotBindable(const Address& address) {
  return address.kind == Address::Kind::kUnix ? WhyUnixNotBindable(address)
                                              : WhyTcpNotBindable(address);
}

bool AnswersLocally(const Address& address) {
  sockaddr_storage storage{};
  const socklen_t size = FillTcp(address.ForLocalClient(), storage);
  const Socket socket(storage.ss_family);
  return connect(socket.fd(), Generic(storage), size) == 0;
}

}  // namespace faultline::server
