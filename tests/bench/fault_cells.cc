// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_cells.h.
#include "tests/bench/fault_cells.h"

#include <cstdio>
#include <cstdlib>

#include <absl/strings/str_format.h>

namespace faultline::bench {

std::string Who::NameIn(const FaultBenchOptions& options) const {
  const std::optional<SchemeName> name = SchemeIn(options);
  return name ? std::string(Name(*name)) : "(kernel)";
}

std::optional<SchemeName> Who::SchemeIn(const FaultBenchOptions& options) const {
  return scheme ? std::optional(options.schemes[*scheme].scheme) : std::nullopt;
}

World& Who::WorldIn(Lab& lab, PageContents contents) const {
  return scheme ? lab.Of(*scheme, contents) : lab.kernel();
}

std::vector<Who> SchemesAndKernel(const FaultBenchOptions& options, bool kernel) {
  std::vector<Who> all;
  all.reserve(options.schemes.size() + 1);
  for (size_t i = 0; i < options.schemes.size(); ++i) all.push_back({i});
  if (kernel) all.push_back({std::nullopt});
  return all;
}

std::optional<size_t> IndexOf(const FaultBenchOptions& options, SchemeName name) {
  for (size_t i = 0; i < options.schemes.size(); ++i) {
    if (options.schemes[i].scheme == name) return i;
  }
  return std::nullopt;
}

size_t AddWindow(Rounds<Window>& rounds, Lab& lab, World& world, WindowSpec spec) {
  spec.touches = lab.options().touches;
  spec.seconds = lab.options().rounds.window_seconds;
  return rounds.Add([&lab, &world, spec] {
    const Window window = RunFaultWindow(lab.crew(), world, spec);
    if (window.failed != 0) {
      absl::FPrintF(stderr, "fault_bench: %d faults of a window ended with a signal\n",
                    window.failed);
      std::exit(1);
    }
    return window;
  });
}

std::optional<double> Per(double per, const Window& window, FaultCount count) {
  const std::optional<uint64_t> counted = Of(window.counts, count);
  if (!counted) return std::nullopt;
  return per * static_cast<double>(*counted) / static_cast<double>(window.faults);
}

void NoteKernel(Report& report) {
  report.Note(
      "(kernel): context, no competitor: it also takes a trap, TLB misses and interrupts between "
      "processors");
}

}  // namespace faultline::bench
