// SPDX-License-Identifier: Apache-2.0
//
// rpc_bench: what a remote client gets of the core (MEASURED section 7). Client and server are two
// processes on the same cores, over loopback. Each figure stands beside that of a call of the same
// shape to the same server that does nothing: what is lost between the two is dispatch.
//
//   build/release/tests/bench/rpc_bench [--table NAMES] [--json]
//   [--quick]
#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "server/server.h"
#include "tests/bench/report.h"
#include "tests/bench/rpc_server.h"
#include "tests/bench/rpc_tables.h"

namespace faultline::bench {
namespace {

struct Flags {
  std::vector<std::string> tables;
  RpcOptions options;
  bool json = false;
  bool quick = false;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--table", flags.tables, "Only these; default all")
      ->delimiter(',')
      ->check(CLI::IsMember({"unary", "single", "batches", "contention", "observers"}));
  app.add_option("--rounds", flags.options.rounds.rounds, "Windows of each cell; default 7")
      ->check(CLI::Range(1, 1000));
  app.add_option("--window", flags.options.rounds.window_seconds,
                 "Seconds of a window; default 0.25")
      ->check(CLI::Range(0.01, 60.0));
  app.add_option("--clients", flags.options.clients, "Client threads of unary calls")
      ->delimiter(',')
      ->check(CLI::Range(1, 256));
  app.add_option("--streams", flags.options.streams, "Numbers of streams, up to 4")
      ->delimiter(',')
      ->check(CLI::Range(1, 4));
  app.add_option("--batches", flags.options.batches, "Sizes of batches; default 64,512,4096")
      ->delimiter(',')
      ->check(CLI::Range(1, 8192));
  app.add_flag("--json", flags.json, "Print one JSON object per row instead of tables");
  app.add_flag("--quick", flags.quick, "Only see that everything runs; the figures mean nothing");
}

int Main(int argc, char** argv) {
  CLI::App app("What a remote client gets of the core, beside empty calls of the same shape.");
  Flags flags;
  AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  if (flags.quick) {
    flags.options.rounds.rounds = 1;
    flags.options.rounds.window_seconds = 0.02;
    flags.options.rounds.attempts = 1;
  }
  server::DisableMutexDeadlockDetection();  // in the client and, since it is a copy, the server
  const ServerProcess server;               // before anything here uses gRPC
  Report report(flags.json ? Output::kJson : Output::kTable);
  const auto wanted = [&](const char* table) {
    return flags.tables.empty() ||
           std::find(flags.tables.begin(), flags.tables.end(), table) != flags.tables.end();
  };
  if (wanted("unary")) PrintUnary(server, flags.options, report);
  if (wanted("single")) PrintSingleOperations(server, flags.options, report);
  if (wanted("batches")) PrintBatches(server, flags.options, report);
  if (wanted("contention")) PrintContention(server, flags.options, report);
  if (wanted("observers")) PrintObservers(server, flags.options, report);
  return 0;
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) { return faultline::bench::Main(argc, argv); }
