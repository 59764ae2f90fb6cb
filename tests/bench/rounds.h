// SPDX-License-Identifier: Apache-2.0
//
// Rounds: interleaved pairs (pairs.h) for more than two. Each round measures every cell once, in
// one order and the next round in the opposite one; cells are compared within a round, and the
// figure is the median over the rounds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/bench/fault_window.h"
#include "tests/bench/pairs.h"

namespace faultline::bench {

struct RoundOptions {
  int rounds = 7;
  double window_seconds = 0.15;
  double foreign_cores = 0.12;  ///< a window with more than this is measured again
  int attempts = 3;             ///< at most, per window
};

/// What happened to windows.
struct WindowTally {
  int kept = 0;
  int redone = 0;  ///< measured and thrown away
  int dirty = 0;   ///< kept although others were busy: the attempts were used up
};

/// Cells and what was measured of them.
class Rounds {
 public:
  /// Measures one window.
  using Cell = std::function<Window()>;
  /// A figure of a window.
  using Figure = double (Window::*)() const;

  /// The number by which the cell's results are asked for.
  size_t Add(Cell cell);
  /// `what` is shown on stderr, if that is a terminal, with how far it is.
  void Run(const RoundOptions& options, const std::string& what);

  [[nodiscard]] const WindowTally& tally() const { return tally_; }
  /// Over the rounds.
  [[nodiscard]] Spread Of(size_t cell, Figure figure) const;
  /// Of one cell by another, within each round.
  [[nodiscard]] Spread Ratio(size_t cell, size_t by, Figure figure) const;
  /// All rounds of a cell in one; its counts and faults are exact.
  [[nodiscard]] Window Sum(size_t cell) const;

 private:
  Window CleanWindow(const Cell& cell, const RoundOptions& options);

  std::vector<Cell> cells_;
  std::vector<std::vector<Window>> windows_;  ///< [cell][round]
  WindowTally tally_;
};

}  // namespace faultline::bench
