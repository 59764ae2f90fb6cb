// SPDX-License-Identifier: Apache-2.0
//
// The port for metrics, over real sockets: its three pages, what it refuses, and that it can be
// bound once only. The client is a socket and a string, so that wrong requests can be made too.
#include "server/http.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/collectable.h>

#include "server/metrics.h"

namespace faultline::server {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Address kAnyPort{.kind = Address::Kind::kTcp, .host = "127.0.0.1", .port = 0, .path = ""};

/// What comes back for `request` until the server closes.
std::string Exchange(uint16_t port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string reply;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
    reply.append(buffer.data(), static_cast<size_t>(got));
  }
  close(fd);
  return reply;
}

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() {
    auto started = HttpServer::Start(kAnyPort, Limits{}, {stage_, metrics_, log_});
    if (const auto* why = std::get_if<std::string>(&started)) ADD_FAILURE() << *why;
    server_ = std::get<std::unique_ptr<HttpServer>>(std::move(started));
  }

  [[nodiscard]] std::string Get(const std::string& path, const std::string& method = "GET") const {
    return Exchange(server_->address().port, method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }

  StageCell stage_{Stage::kStarting};
  Metrics metrics_;
  Log log_{{.level = LogLevel::kError}};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, ReadyzFollowsTheStageAndHealthzDoesNot) {
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\nstarting\n")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  stage_ = Stage::kServing;
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\nready\n")));
  stage_ = Stage::kDraining;
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\ndraining\n")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

/// One counter of its own.
class Part : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    return {CounterFamily("faultline_test_total", "What it is", 7)};
  }
};

TEST_F(HttpTest, MetricsShowEachPartThatWasAddedAndStillLives) {
  auto part = std::make_shared<Part>();
  metrics_.Add(part);
  EXPECT_THAT(Get("/metrics"), AllOf(StartsWith("HTTP/1.1 200 "),
                                     HasSubstr("Content-Type: text/plain; version=0.0.4"),
                                     HasSubstr("# HELP faultline_test_total What it is\n"
                                               "# TYPE faultline_test_total counter\n"
                                               "faultline_test_total 7\n")));
  part.reset();
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("faultline_test_total")));
}

TEST_F(HttpTest, ProcessMetricsHaveTheUsualNamesAndAreNotZero) {
  const auto process = MakeProcessMetrics();
  metrics_.Add(process);
  const std::string text = Get("/metrics");
  for (const char* name : {"process_start_time_seconds", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_threads"}) {
    EXPECT_THAT(text, ContainsRegex(std::string("\n") + name + " [1-9]")) << name;
  }
  EXPECT_THAT(text, HasSubstr("\nprocess_cpu_seconds_total "));
}

TEST_F(HttpTest, HeadHasTheLengthButNoBody) {
  EXPECT_THAT(Get("/healthz", "HEAD"),
              AllOf(HasSubstr("Content-Length: 6\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("/metrics/"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Get("/../etc/passwd"), StartsWith("HTTP/1.1 404 "));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"}) {
    EXPECT_THAT(Get("/metrics", method), StartsWith("HTTP/1.1 405 ")) << method;
  }
}

TEST_F(HttpTest, WhatIsNoRequestIsRefusedAndTheNextOneServed) {
  const uint16_t port = server_->address().port;
  EXPECT_THAT(Exchange(port, "nonsense\r\n\r\n"), Not(HasSubstr(" 200 ")));
  const std::string long_head = "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\n\r\n";
  EXPECT_THAT(Exchange(port, long_head), Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpTest, PortThatIsTakenIsNamed) {
  auto second = HttpServer::Start(server_->address(), Limits{}, {stage_, metrics_, log_});
  ASSERT_TRUE(std::holds_alternative<std::string>(second));
  EXPECT_THAT(std::get<std::string>(second),
              AllOf(HasSubstr(server_->address().Text()), HasSubstr("Address already in use")));
}

}  // namespace
}  // namespace faultline::server
