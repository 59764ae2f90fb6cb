// SPDX-License-Identifier: Apache-2.0
//
// The three pages on civetweb; see http.h. civetweb is told to do nothing else: no files, no
// scripts, no upload, no keep-alive.
#include "server/http.h"

#include <civetweb.h>

#include <array>
#include <chrono>
#include <future>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/strings/str_cat.h>

namespace faultline::server {
namespace {

constexpr std::chrono::milliseconds kStopCheck{1};

struct Reply {
  int code = 200;
  std::string body;
  const char* type = "text/plain; charset=utf-8";
};

Reply Ready(const HttpServer::Sources& sources) {
  switch (sources.stage.load(std::memory_order_acquire)) {  // pairs with main's stores
    case Stage::kStarting:
      return {.code = 503, .body = "starting\n"};
    case Stage::kDraining:
      return {.code = 503, .body = "draining\n"};
    case Stage::kServing:
      break;
  }
  return {.body = "ready\n"};
}

Reply Answer(std::string_view path, const HttpServer::Sources& sources) {
  if (path == "/healthz") return {.body = "alive\n"};
  if (path == "/readyz") return Ready(sources);
  if (path == "/metrics") {
    return {.body = sources.metrics.Text(), .type = "text/plain; version=0.0.4; charset=utf-8"};
  }
  return {.code = 404, .body = "there are /metrics, /healthz and /readyz\n"};
}

int Handle(mg_connection* connection) {
  const mg_request_info& request = *mg_get_request_info(connection);
  const auto& sources =
      *static_cast<const HttpServer::Sources*>(mg_get_user_data(mg_get_context(connection)));
  const std::string_view method = request.request_method;
  const Reply reply = method == "GET" || method == "HEAD"
                          ? Answer(request.local_uri, sources)
                          : Reply{.code = 405, .body = "only GET and HEAD\n"};
  const std::string head =
      absl::StrCat("HTTP/1.1 ", reply.code, " ", mg_get_response_code_text(connection, reply.code),
                   "\r\nContent-Type: ", reply.type, "\r\nContent-Length: ", reply.body.size(),
                   reply.code == 405 ? "\r\nAllow: GET, HEAD" : "",
                   "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") mg_write(connection, reply.body.data(), reply.body.size());
  return reply.code;
}

int LogMessage(const mg_connection* connection, const char* message) {
  const auto& sources =
      *static_cast<const HttpServer::Sources*>(mg_get_user_data(mg_get_context(connection)));
  sources.log.Write(LogLevel::kDebug, "http", {{"what", message}});
  return 1;
}

/// civetweb's list of names and values.
class Options {
 public:
  void Set(const char* name, std::string value) {
    texts_.emplace_back(name);
    texts_.push_back(std::move(value));
  }
  /// Ends with a null, and is valid as long as this is unchanged.
  [[nodiscard]] std::vector<const char*> Pointers() const {
    std::vector<const char*> pointers;
    pointers.reserve(texts_.size() + 1);
    for (const std::string& text : texts_) pointers.push_back(text.c_str());
    pointers.push_back(nullptr);
    return pointers;
  }

 private:
  std::vector<std::string> texts_;
};

Options OptionsFor(const Address& address, const Limits& limits) {
  const std::string timeout = std::to_string(limits.http_timeout_seconds * 1000);
  Options options;
  options.Set("listening_ports", address.Text());
  options.Set("num_threads", std::to_string(limits.http_threads));
  options.Set("connection_queue", std::to_string(4 * limits.http_threads));
  options.Set("request_timeout_ms", timeout);
  options.Set("max_request_size", std::to_string(limits.max_metadata_bytes));
  options.Set("enable_keep_alive", "no");
  options.Set("enable_directory_listing", "no");
  return options;
}

}  // namespace

/// civetweb's state, and what its callbacks see.
class HttpServer::Context {
 public:
  Context(const Address& address, const Sources& sources) : address_(address), sources_(sources) {}
  ~Context() {
    if (context_ == nullptr) return;
    // civetweb looks only every two seconds whether it is to stop, or when somebody connects.
    auto stop = std::async(std::launch::async, [this] { mg_stop(context_); });
    while (stop.wait_for(kStopCheck) != std::future_status::ready) {
      static_cast<void>(AnswersLocally(address_));
    }
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// The address with its port, or why there is none.
  std::variant<Address, std::string> Start(const Options& options) {
    mg_callbacks callbacks{};
    callbacks.begin_request = Handle;
    callbacks.log_message = LogMessage;
    std::vector<const char*> pointers = options.Pointers();
    mg_init_data init{};
    init.callbacks = &callbacks;
    init.user_data = &sources_;
    init.configuration_options = pointers.data();
    std::array<char, 256> text{};
    unsigned code = 0;
    mg_error_data error{};
    error.code = &code;
    error.text = text.data();
    error.text_buffer_size = text.size();
    context_ = mg_start2(&init, &error);
    if (context_ == nullptr) return std::string(text.data());
    mg_server_port port{};
    if (mg_get_server_ports(context_, 1, &port) != 1) return std::string("it has no port");
    address_.port = static_cast<uint16_t>(port.port);
    return address_;
  }

 private:
  Address address_;
  Sources sources_;
  mg_context* context_ = nullptr;
};

HttpServer::HttpServer(const Address& address) : address_(address) {}
HttpServer::~HttpServer() = default;

std::variant<std::unique_ptr<HttpServer>, std::string> HttpServer::Start(const Address& address,
                                                                         const Limits& limits,
                                                                         const Sources& sources) {
  const auto blame = [&address](const std::string& why) {
    return absl::StrCat("metrics: cannot listen on ", address.Text(), ": ", why);
  };
  if (const std::string why = WhyNotBindable(address); !why.empty()) return blame(why);
  std::unique_ptr<HttpServer> server(new HttpServer(address));
  server->context_ = std::make_unique<Context>(address, sources);
  const auto started = server->context_->Start(OptionsFor(address, limits));
  if (const auto* why = std::get_if<std::string>(&started)) return blame(*why);
  server->address_ = std::get<Address>(started);
  return server;
}

}  // namespace faultline::server
