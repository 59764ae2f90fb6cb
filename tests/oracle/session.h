// SPDX-License-Identifier: Apache-2.0
//
// A run of the oracle: episodes of a few thousand operations, each with fresh subjects and a seed
// of its own, until enough operations were compared, the time is up, or the sides differ.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "tests/oracle/features.h"
#include "tests/oracle/shrink.h"
#include "tests/oracle/subject.h"

namespace faultline::oracle {

struct SessionOptions {
  Mode mode = Mode::kArena;
  uint64_t ops = 1'000'000;
  uint64_t seed = 1;
  std::chrono::seconds time_limit{0};      // 0: none
  std::chrono::seconds shrink_budget{60};  // 0: leave a failing sequence as it is
  SubjectFactory kernel;
  SubjectFactory other;
  std::function<void(uint64_t compared, double seconds)> progress;  // now and then; may be empty
};

struct SessionResult {
  uint64_t compared = 0;
  uint64_t left_out = 0;
  double seconds = 0;
  std::map<std::string, uint64_t> known;  // how often each known difference was met
  std::optional<Record> failure;          // shrunken
};

SessionResult RunSession(const SessionOptions& options, const Features& features);

/// One sequence from the start, to its end or to the first difference.
Record Replay(const SessionOptions& options, std::span<const Operation> ops);

/// The record for a reader: the sequence with what the kernel answered, then the difference as
/// comments, so that the whole can be given to --replay.
std::string Describe(const Record& record);

}  // namespace faultline::oracle
