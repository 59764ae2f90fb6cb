// SPDX-License-Identifier: Apache-2.0
//
// What the tables of fault_bench share: who has a row, how a window becomes a cell of the rounds,
// and the lines below a table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/fault_lab.h"
#include "tests/bench/report.h"

namespace faultline::bench {

/// A scheme, or the kernel.
struct Who {
  std::optional<size_t> scheme;  ///< of FaultBenchOptions::schemes; none: the kernel

  [[nodiscard]] std::string NameIn(const FaultBenchOptions& options) const;
  /// Nothing for the kernel.
  [[nodiscard]] std::optional<SchemeName> SchemeIn(const FaultBenchOptions& options) const;
  [[nodiscard]] World& WorldIn(Lab& lab, PageContents contents) const;
};

[[nodiscard]] std::vector<Who> SchemesAndKernel(const FaultBenchOptions& options, bool kernel);
/// Where the scheme is among those measured.
[[nodiscard]] std::optional<size_t> IndexOf(const FaultBenchOptions& options, SchemeName name);

/// Adds the window as a cell, with the touches and the time of the lab's options. The program ends
/// if one of its faults fails.
[[nodiscard]] size_t AddWindow(Rounds<Window>& rounds, Lab& lab, World& world, WindowSpec spec);

/// How often `count` came in `per` of the window's faults.
[[nodiscard]] std::optional<double> Per(double per, const Window& window, FaultCount count);

/// Below a table with the kernel in it: what its rows are not.
void NoteKernel(Report& report);

}  // namespace faultline::bench
