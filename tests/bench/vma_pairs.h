// SPDX-License-Identifier: Apache-2.0
//
// The comparisons of vma_bench that count: the maple tree beside its peers in interleaved pairs
// (see pairs.h).
#pragma once

#include "tests/bench/pairs.h"

namespace faultline::bench {

/// Lookups alone and beside a writer, erasures and insertions, steps in order, and bytes per VMA,
/// at 10 to a million VMAs; then how the figures stand to the project's aims.
void PrintVmaPairs(const PairOptions& options);

}  // namespace faultline::bench
