// SPDX-License-Identifier: Apache-2.0
//
// What rounds print; see rounds.h.
#include "tests/bench/rounds.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include <absl/strings/str_format.h>

#include "tests/bench/report.h"

namespace faultline::bench {

RoundProgress::RoundProgress(std::string what, size_t windows)
    : what_(std::move(what)), windows_(windows), shown_(isatty(STDERR_FILENO) == 1) {}

RoundProgress::~RoundProgress() {
  if (shown_) absl::FPrintF(stderr, "\r\033[K");
}

void RoundProgress::Step() {
  ++done_;
  if (shown_) absl::FPrintF(stderr, "\r\033[K%s: window %d of %d", what_, done_, windows_);
}

void NoteWindows(const std::string& table, const WindowTally& tally, const RoundOptions& options,
                 Report& report) {
  report.Note(absl::StrFormat("%d windows of %.3g s kept, %d of each row; %d measured again "
                              "because others used more than %.2f core; %d kept in spite of that",
                              tally.kept, options.window_seconds, options.rounds, tally.redone,
                              options.foreign_cores, tally.dirty),
              {{"table", "windows"},
               {"of", table},
               {"seconds", options.window_seconds},
               {"rounds", options.rounds},
               {"kept", tally.kept},
               {"redone", tally.redone},
               {"kept_dirty", tally.dirty}});
}

}  // namespace faultline::bench
