// SPDX-License-Identifier: Apache-2.0
//
// signalfd(2) and eventfd(2), polled together; see signals.h.
#include "server/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "core/base/check.h"

namespace faultline::server {

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  MM_CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  MM_CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC);
  MM_CHECK(signals_ >= 0 && wake_ >= 0);
}

Signals::~Signals() {
  close(signals_);
  close(wake_);
}

std::string Signals::Wait() {
  std::array<pollfd, 2> both = {pollfd{.fd = signals_, .events = POLLIN, .revents = 0},
                                pollfd{.fd = wake_, .events = POLLIN, .revents = 0}};
  while (poll(both.data(), both.size(), -1) < 0) MM_CHECK_EQ(errno, EINTR);
  if (both[0].revents == 0) {
    uint64_t count = 0;
    MM_CHECK_EQ(read(wake_, &count, sizeof(count)), static_cast<ssize_t>(sizeof(count)));
    return {};
  }
  signalfd_siginfo info{};
  MM_CHECK_EQ(read(signals_, &info, sizeof(info)), static_cast<ssize_t>(sizeof(info)));
  const char* const name = sigabbrev_np(static_cast<int>(info.ssi_signo));
  return name == nullptr ? "signal" : std::string("SIG") + name;
}

void Signals::Wake() const {
  const uint64_t one = 1;
  MM_CHECK_EQ(write(wake_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
}

}  // namespace faultline::server
