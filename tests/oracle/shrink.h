// SPDX-License-Identifier: Apache-2.0
//
// Makes a failing sequence short enough to read: first by leaving out ever smaller chunks (delta
// debugging), then by making the arguments of what remains simpler. Each candidate is carried out
// from scratch on two fresh subjects; it is kept if they still differ, in whatever way.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/oracle/duel.h"

namespace faultline::oracle {

/// What a duel went through. The operations are those that were carried out; a difference came with
/// the last of them.
struct Record {
  std::vector<Operation> ops;
  std::vector<Outcome> outcomes;  // the kernel's, one for each of `ops`
  std::string difference;         // empty: there was none
  std::string memory;             // the kernel's at the end, of a replay
};

/// Carries the sequence out in a fresh duel, to its end or to the first difference.
using Replayer = std::function<Record(std::span<const Operation>)>;

/// Ends at a fixed point or after `budget`; what it has then still fails.
Record Shrink(Record failure, const Replayer& replay, std::chrono::seconds budget);

}  // namespace faultline::oracle
