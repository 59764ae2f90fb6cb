// SPDX-License-Identifier: Apache-2.0
//
// The command line of host_differential. A value that is not allowed is refused with a sentence
// and exit code 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/fault/fault_options.h"
#include "tests/oracle/subject.h"

namespace faultline::oracle {

enum class Against { kMm, kKernel };

struct Options {
  uint64_t ops = 1'000'000;
  uint64_t seed = 0;
  Mode mode = Mode::kArena;
  Against against = Against::kMm;
  std::string replay;                  // a file; empty: random operations
  std::chrono::seconds time_limit{0};  // 0: none
  std::chrono::seconds shrink_budget{60};
  bool progress = false;
  bool validate_each_release = false;
  std::vector<FaultOptions> schemes;  // of the simulation, at least one; run one after the other
  bool all_duties = false;            // its writers do what any scheme's readers need
};

/// The options, or the exit code of a run that ends here.
std::variant<Options, int> ParseOptions(int argc, char** argv);

}  // namespace faultline::oracle
