// SPDX-License-Identifier: Apache-2.0
//
// The .hgrm text: the lines that HdrHistogram prints for values that are exact in both, the form
// of its lines and footer, and lines whose percentiles hold.

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/measure/histogram.h"

namespace faultline::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Line {
  double value;
  double quantile;
  uint64_t up_to;
};

/// The lines between the title and the footer, as a reader of such files takes them.
std::vector<Line> LinesOf(const std::string& text) {
  std::istringstream in(text);
  std::string line;
  std::getline(in, line);
  std::vector<Line> lines;
  while (std::getline(in, line) && !line.starts_with("#")) {
    std::istringstream fields(line);
    Line read{};
    if (fields >> read.value >> read.quantile >> read.up_to) lines.push_back(read);
  }
  return lines;
}

TEST(HgrmTextTest, HasTheLinesOfHdrHistogram) {
  Histogram histogram;
  for (const uint64_t value : {1000U, 2000U}) histogram.Record(value);
  EXPECT_EQ(histogram.HgrmText(1000),
            "       Value     Percentile TotalCount 1/(1-Percentile)\n"
            "\n"
            "       1.000 0.000000000000          1           1.00\n"
            "       1.000 0.100000000000          1           1.11\n"
            "       1.000 0.200000000000          1           1.25\n"
            "       1.000 0.300000000000          1           1.43\n"
            "       1.000 0.400000000000          1           1.67\n"
            "       1.000 0.500000000000          1           2.00\n"
            "       2.000 0.550000000000          2           2.22\n"
            "       2.000 1.000000000000          2\n"
            "#[Mean    =        1.500, StdDeviation   =        0.500]\n"
            "#[Max     =        2.000, Total count    =            2]\n"
            "#[Buckets =           54, SubBuckets     =         2048]\n");
}

TEST(HgrmTextTest, LinesAreThePercentilesThatTheyName) {
  Histogram histogram;
  for (uint64_t i = 1; i <= 100'000; ++i) histogram.Record(i * i);
  const std::vector<Line> lines = LinesOf(histogram.HgrmText(1));
  ASSERT_GT(lines.size(), 50U);
  for (const Line& line : lines) {
    EXPECT_EQ(line.value, static_cast<double>(histogram.Percentile(line.quantile * 100)));
    EXPECT_GE(static_cast<double>(line.up_to), line.quantile * 100'000 - 1e-6);
  }
  EXPECT_EQ(lines.back().quantile, 1);
  EXPECT_EQ(lines.back().up_to, 100'000U);
}

TEST(HgrmTextTest, AnEmptyHistogramIsTitleAndFooter) {
  const std::string text = Histogram().HgrmText(1);
  EXPECT_THAT(text,
              StartsWith("       Value     Percentile TotalCount 1/(1-Percentile)\n\n#[Mean "));
  EXPECT_THAT(text, HasSubstr("Total count    =            0]"));
}

}  // namespace
}  // namespace faultline::client
