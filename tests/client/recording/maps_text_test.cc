// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/maps: every shape of a name, and every way for a line to be none.

#include "client/recording/maps_text.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/recording/line_reader.h"
#include "client/recording/recording.h"

namespace faultline::client {
namespace {

Mapping Parsed(std::string_view line) {
  Mapping mapping;
  EXPECT_TRUE(ParseMapsLine(line, mapping)) << line;
  return mapping;
}

std::string ErrorOf(const std::string& text) {
  LineReader lines("maps", text);
  const absl::StatusOr<std::vector<Mapping>> maps = ParseMaps(lines);
  return maps.ok() ? std::string() : std::string(maps.status().message());
}

TEST(MapsTextTest, AFileHasAllFields) {
  const Mapping expected{.start = 0x7f5bb9783000,
                         .end = 0x7f5bb9786000,
                         .rights = kRead | kExecute,
                         .offset = 0x2000,
                         .device_major = 0xfe,
                         .device_minor = 0x1f,
                         .inode = 21676,
                         .name = "/opt/a file.so (deleted)"};
  EXPECT_EQ(Parsed("7f5bb9783000-7f5bb9786000 r-xp 00002000 fe:1f 21676                      "
                   "/opt/a file.so (deleted)"),
            expected);
}

TEST(MapsTextTest, NamesMayBeMissingOrTheKernels) {
  EXPECT_EQ(Parsed("7f5b90000000-7f5b90021000 rw-p 00000000 00:00 0 ").name, "");
  EXPECT_EQ(Parsed("7f5b90000000-7f5b90021000 rw-p 00000000 00:00 0").name, "");
  EXPECT_EQ(Parsed("1000-2000 ---s 00000000 00:01 5   [anon:a name]").name, "[anon:a name]");
  EXPECT_EQ(Parsed("1000-2000 ---s 00000000 00:01 5   [anon:a name]").rights, kShared);
}

TEST(MapsTextTest, OtherLinesAreRefusedWithTheirNumber) {
  const std::string good = "1000-2000 r--p 00000000 00:00 0 \n";
  EXPECT_EQ(ErrorOf(good), "");
  for (const std::string bad :
       {"", "Rss: 4 kB", "1000-2000 r--q 00000000 00:00 0", "1000-2000 rr-p 00000000 00:00 0",
        "2000-1000 r--p 00000000 00:00 0", "1000-2000 r--p 00000000 00:00 0x",
        "11112222333344445-6 r--p 00000000 00:00 0", "1000-2000 r--p 00000000 000 0"}) {
    EXPECT_EQ(ErrorOf(good + bad + "\n"), "maps:2: not a line of /proc/PID/maps: " + bad);
  }
}

TEST(MapsTextTest, OverlapsAndACutLastLineAreRefused) {
  EXPECT_EQ(ErrorOf("1000-3000 r--p 00000000 00:00 0\n2000-4000 r--p 00000000 00:00 0\n"),
            "maps:2: not behind the mapping before");
  EXPECT_EQ(ErrorOf("1000-3000 r--p 00000000 00:00 0\n4000-5000 r--"),
            "maps:2: the file ends in this line");
}

}  // namespace
}  // namespace faultline::client
