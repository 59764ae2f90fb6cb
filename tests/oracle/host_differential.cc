// SPDX-License-Identifier: Apache-2.0
//
// Compares the simulation with the running kernel, operation by operation. See --help, and
// subject.h for what is compared.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <absl/strings/str_cat.h>
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

SubjectFactory MmFactory(Mode mode, const MmSubject::Setup& setup) {
  if (mode == Mode::kArena) {
    return [setup] { return std::make_unique<MmSubject>(Mode::kArena, nullptr, setup); };
  }
  // Every process begins with the zygote's map, so one look is good for all.
  const Layout layout = KernelSubject(mode).ReadLayout();
  return [layout, setup] { return std::make_unique<MmSubject>(Mode::kPlacement, &layout, setup); };
}

/// The session under one scheme.
SessionOptions ToSession(const Options& options, const FaultOptions& fault) {
  const Mode mode = options.mode;
  SessionOptions session;
  session.mode = mode;
  session.ops = options.ops;
  session.seed = options.seed;
  session.time_limit = options.time_limit;
  session.shrink_budget = options.shrink_budget;
  const MmSubject::Setup setup = {.validate = options.validate_each_release
                                                  ? MmSubject::Validate::kEachRelease
                                                  : MmSubject::Validate::kAtEnd,
                                  .fault = fault,
                                  .extra_duties = options.all_duties ? kExtraDuties : 0};
  session.kernel = [mode] { return std::make_unique<KernelSubject>(mode); };
  session.other = options.against == Against::kKernel ? session.kernel : MmFactory(mode, setup);
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
  const Record record = Replay(ToSession(options, options.schemes.front()), *ops);
  const bool differs = !record.difference.empty();
  std::cout << Describe(record) << std::flush;
  absl::PrintF("%d operations, %d differences\n", record.ops.size(), differs ? 1 : 0);
  return differs ? kExitDifference : 0;
}

/// The flags that choose the simulation's side, as they would be typed.
std::vector<std::string> FlagsOf(const Options& options, const FaultOptions& fault) {
  std::vector<std::string> flags = {absl::StrFormat("--scheme=%s", Name(fault.scheme)),
                                    absl::StrFormat("--policy=%s", PoliciesOf(fault))};
  if (options.all_duties) flags.emplace_back("--duties=all");
  return flags;
}

/// The operations under one scheme. True if there was a difference.
bool CompareScheme(const Options& options, const Features& features, const FaultOptions& fault) {
  const bool is_mm = options.against == Against::kMm;
  const std::vector<std::string> flags =
      is_mm ? FlagsOf(options, fault) : std::vector<std::string>{};
  if (is_mm) absl::PrintF("%s\n", absl::StrJoin(flags, " "));
  std::fflush(stdout);
  const std::string origin =
      absl::StrCat(absl::StrJoin(flags, " "), is_mm ? " " : "", "--seed=", options.seed);
  if (options.shrink_budget.count() > 0) {
    ReportCrashes({.mode = options.mode == Mode::kArena ? "arena" : "placement",
                   .against = is_mm ? "mm" : "kernel",
                   .flags = flags,
                   .seed = origin,
                   .budget = options.shrink_budget});
  }
  const SessionResult result = RunSession(ToSession(options, fault), features);
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
    absl::PrintF("A difference, with %s; %d operations lead to it:\n", origin,
                 result.failure->ops.size());
    std::cout << Describe(*result.failure) << std::flush;
  }
  absl::PrintF("%d operations, %d differences\n", result.compared, result.failure ? 1 : 0);
  return result.failure.has_value();
}

int CompareRandom(const Options& options) {
  const Features features = ProbeFeatures();
  absl::PrintF("seed %d\n", options.seed);
  if (const std::vector<std::string> names = features.LeftOut(); !names.empty()) {
    absl::PrintF("left out, for the kernel lacks it: %s\n", absl::StrJoin(names, ", "));
  }
  bool differs = false;
  for (const FaultOptions& fault : options.schemes) {
    differs = CompareScheme(options, features, fault) || differs;
  }
  return differs ? kExitDifference : 0;
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
