// SPDX-License-Identifier: Apache-2.0
//
// The futex side of the hand-off. It is called on both sides, so it neither allocates nor uses
// what a process that mapped over half of its memory might lack.
#include "tests/oracle/mailbox.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace faultline::oracle {

void PassTurn(Mailbox& mailbox, Turn turn) {
  // Pairs with the acquire load in WaitForTurn.
  mailbox.turn.store(turn, std::memory_order_release);
  syscall(SYS_futex, &mailbox.turn, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool WaitForTurn(Mailbox& mailbox, Turn turn, int timeout_ms) {
  const timespec timeout = {.tv_sec = timeout_ms / 1000,
                            .tv_nsec = static_cast<long>(timeout_ms % 1000) * 1'000'000};
  while (true) {
    // Pairs with the release store in PassTurn.
    const Turn now = mailbox.turn.load(std::memory_order_acquire);
    if (now == turn) return true;
    const long result = syscall(SYS_futex, &mailbox.turn, FUTEX_WAIT, static_cast<uint32_t>(now),
                                timeout_ms == 0 ? nullptr : &timeout, nullptr, 0);
    if (result != 0 && timeout_ms != 0 && errno == ETIMEDOUT) {
      return mailbox.turn.load(std::memory_order_acquire) == turn;
    }
  }
}

}  // namespace faultline::oracle
