// SPDX-License-Identifier: Apache-2.0
//
// The comparisons of sync_bench that are made in interleaved pairs: the ones the project has aims
// for, and what the policies of RwSem cost each other.
#pragma once

#include "tests/bench/pairs.h"

namespace faultline::bench {

/// The key comparisons as a table, then each aim as "met" or "missed". A missed aim is text: time
/// on a shared machine is no verdict.
void PrintKeyPairs(const PairOptions& options);

/// RwSemPolicy's spinning and hand-off under mixed loads, each against the default.
void PrintPolicySweep(const PairOptions& options);

}  // namespace faultline::bench
