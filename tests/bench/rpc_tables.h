// SPDX-License-Identifier: Apache-2.0
//
// The tables of rpc_bench: unary calls and streams beside empty ones of the same shape, and the
// contention of schemes as a remote client sees it. The cells of a table are measured in rounds
// (rounds.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faultline/v1/common.pb.h"
#include "tests/bench/report.h"
#include "tests/bench/rounds.h"
#include "tests/bench/rpc_server.h"

namespace faultline::bench {

struct RpcOptions {
  RoundOptions rounds{.window_seconds = 0.25};
  std::vector<int> clients = {1, 8, 16};
  std::vector<int> streams = {1, 2, 4};
  std::vector<uint32_t> batches = {64, 512, 4096};
};

void PrintUnary(const ServerProcess& server, const RpcOptions& options, Report& report);
void PrintSingleOperations(const ServerProcess& server, const RpcOptions& options, Report& report);
void PrintBatches(const ServerProcess& server, const RpcOptions& options, Report& report);
void PrintContention(const ServerProcess& server, const RpcOptions& options, Report& report);
/// In rpc_observers.cc.
void PrintObservers(const ServerProcess& server, const RpcOptions& options, Report& report);

/// "rcu_restart"
[[nodiscard]] std::string NameOf(v1::Scheme scheme);

}  // namespace faultline::bench
