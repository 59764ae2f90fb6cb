// SPDX-License-Identifier: Apache-2.0
//
// The flags, read by CLI11. The seed is drawn here if none was given, so that whatever happens
// later it can be printed.
#include "tests/oracle/host_differential_options.h"

#include <unistd.h>

#include <charconv>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

namespace faultline::oracle {
namespace {

constexpr int kExitUsage = 2;

constexpr const char* kFooter = R"(
Modes:
  arena      operations at chosen addresses of a low, otherwise empty part of the space; results,
             lines of maps, residency, contents and signals are compared after each. A mapping
             that the kernel placed by its own choice is taken away at once.
  placement  the kernel chooses the addresses, beginning with the map of a real program; the
             address returned and the whole map are compared after each operation.

A difference is shrunken to a short sequence, and printed with the kernel's answers and the seed.
Its lines, saved to a file, can be repeated with --replay, which prints the kernel's answers and
its memory at the end; so it also tells what the kernel does with a sequence written by hand. What the running kernel lacks is left
out and named at the start; differences that belong to a kernel's version or configuration are
listed in tests/oracle/known_differences.h, and counted.

The answers must not depend on how the simulation locks: --scheme=all runs the same operations under
one scheme after the other, and --policy chooses how page tables are allocated and freed.

A simulation that aborts is reported in the same way: its last words, then the sequence.

Exit codes:
  0  no difference
  1  a difference or a crash, printed
  2  wrong usage: nothing ran
  3  the machine denies what the oracle needs, /proc/PID/pagemap for example

Examples:
  host_differential --ops=1000000                   a fresh seed, which is printed
  host_differential --ops=1000000 --seed=7          the same operations in every run
  host_differential --ops=20000 --scheme=all --duties=all
  host_differential --scheme=rcu_continue --policy=nowait_scope,with_walk
  host_differential --against=kernel --time=60      a minute of two kernels: tests the oracle
  host_differential --replay=sequence.txt)";

CLI::Validator Between(uint64_t min, uint64_t max) {
  return {[min, max](std::string& value) -> std::string {
            uint64_t number = 0;
            const char* end = value.data() + value.size();
            const auto [stop, error] = std::from_chars(value.data(), end, number);
            if (error == std::errc() && stop == end && min <= number && number <= max) return {};
            return absl::StrCat("'", value, "' is not allowed, only whole numbers from ", min,
                                " to ", max);
          },
          ""};
}

template <typename T>
CLI::Validator OneOf(const std::map<std::string, T>& names) {
  return {[names](std::string& value) -> std::string {
            if (names.contains(value)) return {};
            std::string allowed;
            for (const auto& [name, unused] : names) {
              absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", name);
            }
            return absl::StrCat("'", value, "' is unknown, allowed: ", allowed);
          },
          ""};
}

const std::map<std::string, Mode>& Modes() {
  static const auto& modes =
      *new std::map<std::string, Mode>{{"arena", Mode::kArena}, {"placement", Mode::kPlacement}};
  return modes;
}

const std::map<std::string, Against>& Opponents() {
  static const auto& opponents =
      *new std::map<std::string, Against>{{"kernel", Against::kKernel}, {"mm", Against::kMm}};
  return opponents;
}

/// The schemes that `name` stands for, each with `policies`; empty words: its defaults. A sentence
/// if that cannot be.
std::variant<std::vector<FaultOptions>, std::string> SchemesFrom(const std::string& name,
                                                                 const std::string& policies) {
  std::vector<FaultOptions> schemes;
  std::string names = "all";
  for (const SchemeName scheme : AllSchemes()) {
    names += absl::StrFormat(", %s", Name(scheme));
    if (name == "all" || name == Name(scheme)) schemes.push_back(DefaultsOf(scheme));
  }
  if (schemes.empty()) {
    return absl::StrCat("--scheme: '", name, "' is unknown, allowed: ", names);
  }
  for (FaultOptions& scheme : schemes) {
    if (policies.empty()) continue;
    if (const auto why = ParsePolicies(policies, scheme)) return absl::StrCat("--policy: ", *why);
    if (const auto why = WhyRefused(scheme)) return absl::StrCat("--policy: ", *why);
  }
  return schemes;
}

int Refuse(const std::string& why) {
  std::cerr << "host_differential: " << why << "\nSee host_differential --help.\n";
  return kExitUsage;
}

}  // namespace

std::variant<Options, int> ParseOptions(int argc, char** argv) {
  CLI::App app("Compares memory management operation by operation with the running kernel.",
               "host_differential");
  Options options;
  options.seed = std::random_device{}();
  std::string mode = "arena";
  std::string against = "mm";
  std::string validate = "end";
  std::string scheme = "mmap_lock";
  std::string policies;
  std::string duties = "scheme";
  uint64_t time_limit = 0;
  uint64_t shrink_budget = 60;
  app.add_option("--ops", options.ops, "Operations to compare; default 1000000")
      ->type_name("N")
      ->check(Between(1, 1'000'000'000'000));
  app.add_option("--seed", options.seed, "Seed of the operations; default: a fresh one")
      ->type_name("N")
      ->check(Between(0, ~uint64_t{0}));
  app.add_option("--mode", mode, "arena (default) or placement")
      ->type_name("NAME")
      ->check(OneOf(Modes()));
  app.add_option("--against", against, "mm (default), or kernel: a second family of real processes")
      ->type_name("NAME")
      ->check(OneOf(Opponents()));
  app.add_option("--replay", options.replay, "Repeat the operations of this file, as printed")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  app.add_option("--time", time_limit, "Stop after so long, whatever was compared; default: never")
      ->type_name("SECONDS")
      ->check(Between(1, 1'000'000));
  app.add_option("--shrink", shrink_budget,
                 "Shrink at most so long; 0: do not, and let a crash be one")
      ->type_name("SECONDS")
      ->check(Between(0, 1'000'000));
  app.add_option("--validate", validate,
                 "When the simulation checks its invariants: end (default: of each process), or "
                 "each-release: also whenever mmap_lock is released")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"end", "each-release"}));
  app.add_option("--scheme", scheme, "The simulation's locking scheme, or all; default: mmap_lock")
      ->type_name("NAME");
  app.add_option("--policy", policies,
                 "How it allocates and frees page tables, as words with commas; default: as suits "
                 "the scheme")
      ->type_name("WORDS");
  app.add_option("--duties", duties,
                 "What its writers do for readers: scheme (default: what its own scheme asks for), "
                 "or all: what several schemes do")
      ->type_name("WHICH")
      ->check(CLI::IsMember({"scheme", "all"}));
  app.add_flag("--progress", options.progress, "Show progress on a terminal");
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& error) {
    return Refuse(error.what());
  }
  if (!options.replay.empty()) {
    for (const char* other : {"--ops", "--seed", "--time"}) {
      if (app.count(other) != 0) {
        return Refuse(absl::StrCat(other, " cannot be combined with --replay"));
      }
    }
  }
  auto schemes = SchemesFrom(scheme, policies);
  if (const auto* why = std::get_if<std::string>(&schemes)) return Refuse(*why);
  options.schemes = std::get<std::vector<FaultOptions>>(std::move(schemes));
  if (!options.replay.empty() && options.schemes.size() > 1) {
    return Refuse("--replay takes one --scheme at a time");
  }
  options.all_duties = duties == "all";
  options.mode = Modes().at(mode);
  options.validate_each_release = validate == "each-release";
  options.against = Opponents().at(against);
  options.time_limit = std::chrono::seconds(time_limit);
  options.shrink_budget = std::chrono::seconds(shrink_budget);
  return options;
}

}  // namespace faultline::oracle
