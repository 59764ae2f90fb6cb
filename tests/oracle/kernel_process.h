// SPDX-License-Identifier: Apache-2.0
//
// The code that runs inside a served process: a real one, whose memory the operations change. It
// starts as a copy of the oracle and afterwards allocates nothing, opens nothing and starts no
// thread, so its own mappings stay as they are; operations keep clear of them.
//
// A zygote is forked once, early. Every family starts as its child, so all processes have the same
// mappings at the same addresses, whatever the oracle's own heap does meanwhile. All of them are
// children of the oracle (CLONE_PARENT), which can wait for each, and die with it.
#pragma once

#include "tests/oracle/mailbox.h"

namespace faultline::oracle {

/// Forks the zygote; returns its pid. Call it before there is a second thread.
int StartZygote(SharedState& shared);

}  // namespace faultline::oracle
