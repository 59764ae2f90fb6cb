// SPDX-License-Identifier: Apache-2.0
//
// Rounds: interleaved pairs (pairs.h) for more than two. Each round measures every cell once, in
// one order and the next round in the opposite one; cells are compared within a round, and the
// figure is the median over the rounds. A window in which others used much of the machine is
// measured again, a few times at most.
//
// A window is whatever a cell measures in one go: it has the member foreign_cores, the CPU that
// others used meanwhile, and its figures are functions of it.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/pairs.h"

namespace faultline::bench {

class Report;

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

/// Below a table: how its windows went.
void NoteWindows(const std::string& table, const WindowTally& tally, const RoundOptions& options,
                 Report& report);

/// How many windows are done: one line on stderr, if that is a terminal, which goes when its writer
/// does.
class RoundProgress {
 public:
  RoundProgress(std::string what, size_t windows);
  ~RoundProgress();
  RoundProgress(const RoundProgress&) = delete;
  RoundProgress& operator=(const RoundProgress&) = delete;
  void Step();

 private:
  const std::string what_;
  const size_t windows_;
  size_t done_ = 0;
  const bool shown_;
};

template <class W>
concept RoundWindow = requires(const W& window) {
  { window.foreign_cores } -> std::convertible_to<double>;
};

/// Cells and what was measured of them.
template <RoundWindow W>
class Rounds {
 public:
  /// Measures one window.
  using Cell = std::function<W()>;
  /// A figure of a window.
  using Figure = double (W::*)() const;

  /// The number by which the cell's results are asked for.
  size_t Add(Cell cell) {
    cells_.push_back(std::move(cell));
    windows_.emplace_back();
    return cells_.size() - 1;
  }
  /// `what` is shown with how far it is.
  void Run(const RoundOptions& options, const std::string& what) {
    RoundProgress progress(what, cells_.size() * static_cast<size_t>(options.rounds));
    for (int round = 0; round < options.rounds; ++round) {
      for (size_t i = 0; i < cells_.size(); ++i) {
        const size_t cell = round % 2 == 0 ? i : cells_.size() - 1 - i;
        progress.Step();
        windows_[cell].push_back(CleanWindow(cells_[cell], options));
      }
    }
  }

  [[nodiscard]] const WindowTally& tally() const { return tally_; }
  /// Of a cell, one for each round.
  [[nodiscard]] const std::vector<W>& windows(size_t cell) const { return windows_[cell]; }
  /// Over the rounds.
  [[nodiscard]] Spread Of(size_t cell, Figure figure) const {
    std::vector<double> values;
    values.reserve(windows_[cell].size());
    for (const W& window : windows_[cell]) values.push_back((window.*figure)());
    return SpreadOf(std::move(values));
  }
  /// Of one cell by another, within each round.
  [[nodiscard]] Spread Ratio(size_t cell, size_t by, Figure figure) const {
    std::vector<double> values;
    values.reserve(windows_[cell].size());
    for (size_t round = 0; round < windows_[cell].size(); ++round) {
      values.push_back((windows_[cell][round].*figure)() / (windows_[by][round].*figure)());
    }
    return SpreadOf(std::move(values));
  }

 private:
  W CleanWindow(const Cell& cell, const RoundOptions& options) {
    for (int attempt = 1;; ++attempt) {
      W window = cell();
      const bool dirty = window.foreign_cores > options.foreign_cores;
      if (dirty && attempt < options.attempts) {
        ++tally_.redone;
        continue;
      }
      ++tally_.kept;
      if (dirty) ++tally_.dirty;
      return window;
    }
  }

  std::vector<Cell> cells_;
  std::vector<std::vector<W>> windows_;  ///< [cell][round]
  WindowTally tally_;
};

}  // namespace faultline::bench
