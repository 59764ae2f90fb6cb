// SPDX-License-Identifier: Apache-2.0
//
// Differences between the simulation and a running kernel that are nobody's fault: they belong to
// a kernel's version or to how it was configured. Each entry says why it is here. A divergence
// that an entry matches is counted, not reported, and ends its episode, for the two sides may
// have come apart.
//
// Anything else is a bug, of the simulation or of the oracle, and does not go here.
#pragma once

#include <span>

#include "tests/oracle/subject.h"

namespace faultline::oracle {

/// What one operation led to. The snapshots are those of the process that differs, or null if
/// already the outcomes do.
struct Divergence {
  const Operation& op;
  const Outcome& kernel;
  const Outcome& other;
  const Snapshot* kernel_snapshot;
  const Snapshot* other_snapshot;
};

struct KnownDifference {
  const char* name;
  const char* reason;
  bool (*matches)(const Divergence&);
};

inline std::span<const KnownDifference> KnownDifferences() { return {}; }

}  // namespace faultline::oracle
