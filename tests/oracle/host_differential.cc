// SPDX-License-Identifier: Apache-2.0
//
// Compares the simulation with the running kernel, operation by operation. See --help, and
// subject.h for what is compared.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "tests/oracle/crash.h"
#include "tests/oracle/die.h"
#include "tests/oracle/generator.h"
#include "tests/oracle/host_differential_options.h"
#include "tests/oracle/kernel_subject.h"
#include "tests/oracle/mm_subject.h"
#include "tests/oracle/session.h"

namespace faultline::oracle {
namespace {

constexpr int kExitDifference = 1;

SubjectFactory MmFactory(Mode mode, MmSubject::Validate validate) {
  if (mode == Mode::kArena) {
    return [validate] { return std::make_unique<MmSubject>(Mode::kArena, nullptr, validate); };
  }
  // Every process begins with the zygote's map, so one look is good for all.
  const Layout layout = KernelSubject(mode).ReadLayout();
  return [layout, validate] {
    return std::make_unique<MmSubject>(Mode::kPlacement, &layout, validate);
  };
}

SessionOptions ToSession(const Options& options) {
  const Mode mode = options.mode;
  SessionOptions session;
  session.mode = mode;
  session.ops = options.ops;
  session.seed = options.seed;
  session.time_limit = options.time_limit;
  session.shrink_budget = options.shrink_budget;
  const auto validate = options.validate_each_release ? MmSubject::Validate::kEachRelease
                                                      : MmSubject::Validate::kAtEnd;
  session.kernel = [mode] { return std::make_unique<KernelSubject>(mode); };
  session.other = options.against == Against::kKernel ? session.kernel : MmFactory(mode, validate);
  if (options.progress && isatty(STDERR_FILENO) != 0) {
    session.progress = [](uint64_t compared, double seconds) {
      absl::FPrintF(stderr, "\r%d operations, %d per second ", compared,
                    static_cast<uint64_t>(static_cast<double>(compared) / seconds));
    };
  }
  return session;
}

int ReplayFile(const Options& options) {
  std::ifstream file(options.replay);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::string bad_line;
  const std::optional<std::vector<Operation>> ops = ParseSequence(text, &bad_line);
  if (!ops) Die(absl::StrFormat("%s: not an operation: %s", options.replay, bad_line));
  for (const Operation& op : *ops) {
    if (options.mode == Mode::kArena && !IsHarmless(op)) {
      Die(absl::StrFormat("%s: this could hit the process itself: %s", options.replay, Format(op)));
    }
  }
  const Record record = Replay(ToSession(options), *ops);
  const bool differs = !record.difference.empty();
  std::cout << Describe(record) << std::flush;
  absl::PrintF("%d operations, %d differences\n", record.ops.size(), differs ? 1 : 0);
  return differs ? kExitDifference : 0;
}

int CompareRandom(const Options& options) {
  const Features features = ProbeFeatures();
  absl::PrintF("seed %d\n", options.seed);
  if (const std::vector<std::string> names = features.LeftOut(); !names.empty()) {
    absl::PrintF("left out, for the kernel lacks it: %s\n", absl::StrJoin(names, ", "));
  }
  std::fflush(stdout);
  if (options.shrink_budget.count() > 0) {
    ReportCrashes({.mode = options.mode == Mode::kArena ? "arena" : "placement",
                   .against = options.against == Against::kMm ? "mm" : "kernel",
                   .seed = absl::StrFormat("--seed=%d", options.seed),
                   .budget = options.shrink_budget});
  }
  const SessionResult result = RunSession(ToSession(options), features);
  if (options.progress) absl::FPrintF(stderr, "\n");
  for (const auto& [name, count] : result.known) {
    absl::PrintF("known difference, met %d times: %s\n", count, name);
  }
  if (result.left_out > 0) {
    absl::PrintF("%d operations left out, for a side does not know them\n", result.left_out);
  }
  absl::PrintF("%.1f seconds, %d operations per second\n", result.seconds,
               static_cast<uint64_t>(static_cast<double>(result.compared) / result.seconds));
  if (result.failure) {
    absl::PrintF("A difference, with --seed=%d; %d operations lead to it:\n", options.seed,
                 result.failure->ops.size());
    std::cout << Describe(*result.failure) << std::flush;
  }
  absl::PrintF("%d operations, %d differences\n", result.compared, result.failure ? 1 : 0);
  return result.failure ? kExitDifference : 0;
}

}  // namespace
}  // namespace faultline::oracle

int main(int argc, char** argv) {
  using namespace faultline::oracle;  // NOLINT(google-build-using-namespace): the program itself
  const std::variant<Options, int> parsed = ParseOptions(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const auto& options = std::get<Options>(parsed);
  return options.replay.empty() ? CompareRandom(options) : ReplayFile(options);
}
