// SPDX-License-Identifier: Apache-2.0
//
// The Mann-Whitney U test (Wilcoxon's rank-sum test): how likely two samples of one distribution
// would be as far apart as these are.
//
// It looks at the order of the values alone, so one measurement that a busy neighbour made ten
// times as long weighs no more than any other that is at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace faultline::client {

/// Up to this many values together, without ties, p is exact: as many orders of them as there are
/// a double counts without rounding.
inline constexpr std::size_t kMostForExactP = 56;

enum class PMethod : uint8_t {
  kExact,   // from the number of orders
  kNormal,  // normal approximation, corrected for ties and for continuity
};

struct MannWhitney {
  /// Of the first sample: pairs in which its value is the larger one, ties count one half.
  double u = 0;
  /// Two-sided.
  double p = 1;
  PMethod method = PMethod::kNormal;
};

/// Neither is empty and no value is a NaN.
[[nodiscard]] MannWhitney MannWhitneyTest(std::span<const double> a, std::span<const double> b);

/// The two-sided p of a U that is a whole number, for samples of these sizes without ties; both at
/// least 1, together at most kMostForExactP.
[[nodiscard]] double ExactP(std::size_t size_a, std::size_t size_b, uint64_t u);

}  // namespace faultline::client
