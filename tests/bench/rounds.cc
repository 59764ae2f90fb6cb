// SPDX-License-Identifier: Apache-2.0
//
// Implementation of fault_rounds.h.
#include "tests/bench/fault_rounds.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include <absl/strings/str_format.h>

namespace faultline::bench {
namespace {

/// One line on the terminal, which goes when its writer does.
class Progress {
 public:
  Progress(const std::string& what, size_t steps)
      : what_(what), steps_(steps), shown_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (shown_) absl::FPrintF(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void Step() {
    ++done_;
    if (shown_) absl::FPrintF(stderr, "\r\033[K%s: window %d of %d", what_, done_, steps_);
  }

 private:
  const std::string what_;
  const size_t steps_;
  size_t done_ = 0;
  const bool shown_;
};

}  // namespace

size_t Rounds::Add(Cell cell) {
  cells_.push_back(std::move(cell));
  windows_.emplace_back();
  return cells_.size() - 1;
}

void Rounds::Run(const RoundOptions& options, const std::string& what) {
  Progress progress(what, cells_.size() * static_cast<size_t>(options.rounds));
  for (int round = 0; round < options.rounds; ++round) {
    for (size_t i = 0; i < cells_.size(); ++i) {
      const size_t cell = round % 2 == 0 ? i : cells_.size() - 1 - i;
      progress.Step();
      windows_[cell].push_back(CleanWindow(cells_[cell], options));
    }
  }
}

Window Rounds::CleanWindow(const Cell& cell, const RoundOptions& options) {
  for (int attempt = 1;; ++attempt) {
    const ForeignMeter meter;
    const Window window = cell();
    const bool dirty = meter.Cores() > options.foreign_cores;
    if (dirty && attempt < options.attempts) {
      ++tally_.redone;
      continue;
    }
    ++tally_.kept;
    if (dirty) ++tally_.dirty;
    return window;
  }
}

Spread Rounds::Of(size_t cell, Figure figure) const {
  std::vector<double> values;
  values.reserve(windows_[cell].size());
  for (const Window& window : windows_[cell]) values.push_back((window.*figure)());
  return SpreadOf(std::move(values));
}

Spread Rounds::Ratio(size_t cell, size_t by, Figure figure) const {
  std::vector<double> values;
  values.reserve(windows_[cell].size());
  for (size_t round = 0; round < windows_[cell].size(); ++round) {
    values.push_back((windows_[cell][round].*figure)() / (windows_[by][round].*figure)());
  }
  return SpreadOf(std::move(values));
}

Window Rounds::Sum(size_t cell) const {
  Window sum;
  for (const Window& window : windows_[cell]) {
    sum.threads = window.threads;
    sum.faults += window.faults;
    sum.failed += window.failed;
    sum.reclaimed += window.reclaimed;
    sum.seconds += window.seconds;
    sum.mapper_ops += window.mapper_ops;
    AddDifference(sum.counts, NoneYet(), window.counts);
  }
  return sum;
}

}  // namespace faultline::bench
