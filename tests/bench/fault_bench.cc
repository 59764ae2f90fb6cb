// SPDX-License-Identifier: Apache-2.0
//
// What a page fault costs under each locking scheme, alone and beside others, and under each policy
// of page-table allocation; `--help` lists the options.
//
// Every scheme is measured in the same run, in interleaved windows (rounds.h), and beside it
// the running kernel doing the same: context, no competitor, since ours takes no trap, no hardware
// TLB miss and no inter-processor interrupt. Only faults are timed, not the mapping and unmapping
// between (fault_window.h).
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include "core/sync/lock_stats.h"
#include "tests/bench/fault_tables.h"

namespace faultline::bench {
namespace {

constexpr const char* kFooter = R"(
Tables:
  faults  one VMA for all threads and one for each, pages as `tag` and as `bytes`
  mapper  one thread beside a far mapper, one that also touches, and one whose mapping merges; in an
          mm of hardly any VMA, and in one of 1000
  duty    one thread beside a far mapper, by how much of the time that works
With --policies, for each scheme instead:
  policies  by policy, touches (each page or sparse) and free memory (plenty, at the low mark, below
            min): cost, tables allocated and thrown away, failures, retries, reclaims, the 99th
            percentile; then who got what was asked for
  freer     memory at the min mark beside a task that frees: nowait_reclaim_retry and direct reclaim
            by its rate

Examples:
  fault_bench                                 all of them, 1 and 2 threads; some minutes
  fault_bench --threads=1,2,4,8 --table=faults
  fault_bench --scheme=mmap_lock,rcu_restart --rounds=21 --table=duty
  fault_bench --policies                      ways to allocate page tables, under vma_refcnt
  fault_bench --policies --scheme=rcu_continue

Figures are medians over rounds with the smallest and largest; compare ratios, not nanoseconds.)";

/// The command line as typed.
struct Flags {
  bool policies = false;
  bool quick = false;
  bool json = false;
  bool no_kernel = false;
  std::vector<int> threads{1, 2};
  std::vector<std::string> schemes;
  std::vector<std::string> tables;
  std::string with;
  int rounds = RoundOptions{}.rounds;
  double window = RoundOptions{}.window_seconds;
  uint64_t mib = 64;
  uint32_t levels = 4;
};

std::vector<std::string> SchemeNames() {
  std::vector<std::string> names;
  for (const SchemeName scheme : AllSchemes()) names.emplace_back(Name(scheme));
  return names;
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.footer(kFooter);
  app.add_flag("--policies", flags.policies, "Measure policies of table allocation instead");
  app.add_flag("--quick", flags.quick, "Only see that everything runs; the figures mean nothing");
  app.add_flag("--json", flags.json, "Print one JSON object per row instead of tables");
  app.add_flag("--no-kernel", flags.no_kernel, "Leave the running kernel out");
  app.add_option("--threads", flags.threads, "Numbers of threads; default 1,2")
      ->delimiter(',')
      ->check(CLI::Range(1, 8));
  app.add_option("--scheme", flags.schemes, "Only these; default all, for --policies vma_refcnt")
      ->delimiter(',')
      ->check(CLI::IsMember(SchemeNames()));
  app.add_option("--table", flags.tables, "Only these; default all")
      ->delimiter(',')
      ->check(CLI::IsMember({"faults", "mapper", "duty"}))
      ->excludes("--policies");
  app.add_option("--with", flags.with,
                 "Policies for every scheme instead of its defaults, such as with_walk,synchronous")
      ->type_name("WORDS");
  app.add_option("--rounds", flags.rounds, "Windows of each row; default 7")
      ->check(CLI::Range(1, 1000));
  app.add_option("--window", flags.window, "Seconds of a window; default 0.15")
      ->check(CLI::Range(0.01, 10.0));
  app.add_option("--mib", flags.mib, "Size of a thread's mapping; default 64")
      ->check(CLI::Range(1, 1024));
  app.add_option("--levels", flags.levels, "Levels of page tables; default 4")
      ->check(CLI::IsMember({4, 5}));
}

/// The scheme with its own policies and those of `with`; ends the program if there is no such
/// thing.
FaultOptions SchemeWith(SchemeName scheme, const std::string& with) {
  FaultOptions options = DefaultsOf(scheme);
  std::optional<std::string> wrong;
  if (!with.empty()) wrong = ParsePolicies(with, options);
  if (!wrong) wrong = WhyRefused(options);
  if (!wrong) return options;
  absl::FPrintF(stderr, "fault_bench: --with=%s: %s\n", with, *wrong);
  std::exit(2);
}

FaultBenchOptions OptionsOf(const Flags& flags) {
  FaultBenchOptions options{
      .rounds = {.rounds = flags.rounds, .window_seconds = flags.window},
      .threads = flags.threads,
      .schemes = {},
      .touches = (flags.mib << 20) / kPageSize,
      .page_table_levels = flags.levels,
      .kernel = !flags.no_kernel,
  };
  if (flags.quick) {
    options.rounds = {.rounds = 2, .window_seconds = 0.002, .attempts = 1};
    options.touches = (1 << 20) / kPageSize;
  }
  const auto wanted = [&](SchemeName scheme) {
    if (flags.schemes.empty()) return !flags.policies || scheme == SchemeName::kVmaRefcnt;
    return std::find(flags.schemes.begin(), flags.schemes.end(), Name(scheme)) !=
           flags.schemes.end();
  };
  for (const SchemeName scheme : AllSchemes()) {
    if (wanted(scheme)) options.schemes.push_back(SchemeWith(scheme, flags.with));
  }
  return options;
}

void PrintTables(const FaultBenchOptions& options, const Flags& flags, Report& report) {
  const auto wanted = [&](const char* table) {
    return flags.tables.empty() ||
           std::find(flags.tables.begin(), flags.tables.end(), table) != flags.tables.end();
  };
  Lab lab(options);
  std::vector<Aim> aims;
  if (wanted("faults")) PrintRates(lab, report, aims);
  if (wanted("mapper")) PrintMappers(lab, report, aims);
  if (wanted("duty")) PrintDuties(lab, report);
  PrintAims(aims, report);
}

int Main(int argc, char** argv) {
  CLI::App app("What a page fault costs under each locking scheme and table-allocation policy.",
               "fault_bench");
  Flags flags;
  AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const FaultBenchOptions options = OptionsOf(flags);
  SetLockdep(false);  // on by default in checked builds
  Rcu::Barrier();     // starts RCU's thread while nothing is pinned: it inherits that
  Report report(flags.json ? Output::kJson : Output::kTable);
  if (flags.policies) {
    for (const FaultOptions& scheme : options.schemes) {
      PrintPolicies(options, scheme, report);
      PrintFreer(options, scheme, report);
    }
  } else {
    PrintTables(options, flags, report);
  }
  return 0;
}

}  // namespace
}  // namespace faultline::bench

int main(int argc, char** argv) { return faultline::bench::Main(argc, argv); }
