// SPDX-License-Identifier: Apache-2.0
//
// The lock order that people read (core/LOCKING.md) is the one that lockdep enforces
// (kLockRankTable), field by field.

#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/sync/lock_rank.h"

namespace faultline {
namespace {

using Row = std::vector<std::string>;

/// A cell without the blanks around it and without code marks.
std::string Clean(const std::string& cell) {
  std::string text;
  for (const char c : cell) {
    if (c != '`') text += c;
  }
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

Row Cells(const std::string& line) {
  Row cells;
  size_t begin = 1;  // after the first bar
  for (size_t end; (end = line.find('|', begin)) != std::string::npos; begin = end + 1) {
    cells.push_back(Clean(line.substr(begin, end - begin)));
  }
  return cells;
}

/// The body of the table below the heading "## Order".
std::vector<Row> TableOfTheDocument() {
  std::ifstream file(FAULTLINE_SOURCE_DIR "/core/LOCKING.md");
  EXPECT_TRUE(file.is_open());
  std::vector<Row> rows;
  bool in_section = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) in_section = line == "## Order";
    if (in_section && line.starts_with("|")) rows.push_back(Cells(line));
  }
  EXPECT_GE(rows.size(), 2u);
  if (rows.size() < 2) return {};
  EXPECT_EQ(rows[0], (Row{"Rank", "Name", "Linux lock", "Kind", "Same rank"}));
  rows.erase(rows.begin(), rows.begin() + 2);  // the head and its rule
  return rows;
}

std::string KindName(LockKind kind) {
  return kind == LockKind::kSleeping ? "sleeping" : "spinning";
}

std::string SameRankName(SameRank same_rank) {
  switch (same_rank) {
    case SameRank::kForbidden:
      return "forbidden";
    case SameRank::kBySubclass:
      return "by subclass";
    case SameRank::kUnderOuter:
      return "under outer";
  }
  return "";
}

TEST(LockingTableTest, DocumentListsExactlyTheRanksOfTheCode) {
  std::vector<Row> expected;
  expected.reserve(kLockRankTable.size());
  for (const LockRankInfo& info : kLockRankTable) {
    expected.push_back({std::to_string(static_cast<int>(info.rank)), std::string(info.name),
                        std::string(info.linux_name), KindName(info.kind),
                        SameRankName(info.same_rank)});
  }
  const std::vector<Row> rows = TableOfTheDocument();
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], expected[i]) << "in row " << i;
}

// No sleeping lock is inside a spinning one; the ranks for tests come after all of the core's.
TEST(LockingTableTest, SleepingRanksComeBeforeSpinningOnes) {
  bool spinning = false;
  for (const LockRankInfo& info : kLockRankTable) {
    if (info.rank == LockRank::kTestOuter) break;
    spinning = spinning || info.kind == LockKind::kSpinning;
    EXPECT_EQ(info.kind == LockKind::kSpinning, spinning) << info.name;
  }
}

}  // namespace
}  // namespace faultline
