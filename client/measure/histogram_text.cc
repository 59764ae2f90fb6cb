// SPDX-License-Identifier: Apache-2.0
//
// A histogram as the text of a .hgrm file: the format of HdrHistogram's percentile distributions,
// column widths included, since some readers of it cut at columns.
//
// A line is printed for a level, not for a bucket. Levels start at 0 percent and move towards 100
// in steps that become half as long whenever what is left has halved, five steps each time; a
// bucket that many values share answers several levels, and a level is answered by the first
// bucket that reaches it. The last line is 100 percent and has no 1/(1-percentile).
//
// Where HdrHistogram prints bounds and middles of buckets for the greatest value and the mean, this
// prints the exact ones, and the buckets of the footer are those of all 64 bits. The other lines
// are the same but for the rounding of a last digit: compared with hdr-histogram-js 3.0.1.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_format.h"

#include "client/measure/histogram.h"

namespace faultline::client {
namespace {

constexpr double kStepsPerHalving = 5;

/// The level behind `percent`.
double NextLevel(double percent) {
  const double halvings = std::floor(std::log2(100 / (100 - percent))) + 1;
  return percent + 100 / (kStepsPerHalving * std::exp2(halvings));
}

struct Line {
  double value;
  double percent;
  uint64_t up_to;
};

std::string TextOf(const Line& line) {
  return absl::StrFormat("%12.3f %2.12f %10d %14.2f\n", line.value, line.percent / 100, line.up_to,
                         100 / (100 - line.percent));
}

}  // namespace

std::string Histogram::HgrmText(double unit) const {
  std::string text = absl::StrFormat("%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                                     "1/(1-Percentile)");
  const double greatest = static_cast<double>(max()) / unit;
  double level = 0;
  uint64_t up_to = 0;
  for (std::size_t i = 0; up_to < count_; ++i) {
    if (counts_[i] == 0) continue;
    up_to += counts_[i];
    const double value = static_cast<double>(std::min(HighestOf(i), max_)) / unit;
    const double reached = 100 * static_cast<double>(up_to) / static_cast<double>(count_);
    while (reached >= level && level < 100) {
      text += TextOf({.value = value, .percent = level, .up_to = up_to});
      level = NextLevel(level);
      if (up_to == count_) break;
    }
  }
  if (count_ > 0) absl::StrAppendFormat(&text, "%12.3f %2.12f %10d\n", greatest, 1.0, count_);
  absl::StrAppendFormat(&text, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", Mean() / unit,
                        StandardDeviation() / unit);
  absl::StrAppendFormat(&text, "#[Max     = %12.3f, Total count    = %12d]\n", greatest, count_);
  absl::StrAppendFormat(&text, "#[Buckets = %12d, SubBuckets     = %12d]\n", 64 - kExactBits + 1,
                        kExactBelow);
  return text;
}

}  // namespace faultline::client
