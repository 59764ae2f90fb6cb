// SPDX-License-Identifier: Apache-2.0
//
// The vocabularies of the API and of the core are the same: for each enumerator that the core has a
// name for, the API has one that is called so, and the other way round. The rule: the core's name
// in capitals, what is no letter or digit as "_", behind the prefix of the API's enum.
//
// And they have the same order, so that conversions can count on it (server/api_enums.h): the
// API's number is what ToApi makes of the core's enumerator.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>
#include <gtest/gtest.h>

#include "core/base/errno.h"
#include "core/fault/fault.h"
#include "core/fault/fault_options.h"
#include "core/folio/frame_memory.h"
#include "core/folio/watermarks.h"
#include "core/mm/vma_scan.h"
#include "core/observe/activity.h"
#include "core/observe/fault_counters.h"
#include "core/observe/fault_reasons.h"
#include "core/pgtable/entry.h"
#include "core/sync/fail_points.h"
#include "core/sync/lock_hooks.h"
#include "core/sync/lock_rank.h"
#include "core/sync/lock_stats.h"
#include "core/sync/modelled/depth_first.h"
#include "core/sync/modelled/execution.h"
#include "core/sync/modelled/search.h"
#include "core/vma/merge.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/lab.pb.h"
#include "faultline/v1/machine.pb.h"
#include "faultline/v1/observe.pb.h"
#include "faultline/v1/statistics.pb.h"
#include "server/api_enums.h"

namespace faultline {
namespace {

using google::protobuf::EnumDescriptor;
using ::testing::ElementsAreArray;
using Names = std::vector<std::string>;

std::string Capitals(std::string_view name) {
  std::string capitals(name);
  for (char& c : capitals) {
    const auto letter = static_cast<unsigned char>(c);
    c = std::isalnum(letter) != 0 ? static_cast<char>(std::toupper(letter)) : '_';
  }
  return capitals;
}

/// "FaultRung" is "FAULT_RUNG_".
std::string PrefixOf(const EnumDescriptor& api) {
  std::string prefix;
  for (const char c : api.name()) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isupper(letter) != 0 && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(letter));
  }
  return prefix + "_";
}

/// What the API calls its values, by their numbers from 1 on, which have no gaps.
Names NamesOf(const EnumDescriptor& api) {
  Names names;
  for (int number = 1; number < api.value_count(); ++number) {
    const auto* value = api.FindValueByNumber(number);
    names.push_back(value == nullptr ? "nothing" : value->name());
  }
  return names;
}

/// What the API has to call the first `count` enumerators of Core.
template <class Core>
Names Expected(const EnumDescriptor& api, size_t count = static_cast<size_t>(Core::kCount)) {
  Names names;
  for (size_t i = 0; i < count; ++i) {
    names.push_back(PrefixOf(api) + Capitals(Name(static_cast<Core>(i))));
  }
  return names;
}

template <class Core>
void ExpectSameNames(const EnumDescriptor& api) {
  EXPECT_THAT(NamesOf(api), ElementsAreArray(Expected<Core>(api))) << api.full_name();
}

/// For enums that the core has no names for: `pairs` are all values of the API but UNSPECIFIED,
/// each with what it is in the core.
template <class Api, class Core>
void ExpectPairs(const std::vector<std::pair<Api, Core>>& pairs) {
  const EnumDescriptor& api = *google::protobuf::GetEnumDescriptor<Api>();
  EXPECT_EQ(pairs.size() + 1, static_cast<size_t>(api.value_count())) << api.full_name();
  for (const auto& [value, core] : pairs) {
    EXPECT_EQ(server::ToApi<Api>(core), value) << api.full_name();
    EXPECT_EQ(server::FromApi<Core>(value), core) << api.full_name();
  }
}

TEST(VocabularyTest, ChoicesOfTheFaultPathHaveTheCoresNames) {
  ExpectSameNames<SchemeName>(*v1::Scheme_descriptor());
  ExpectSameNames<TableAlloc>(*v1::TableAlloc_descriptor());
  ExpectSameNames<PteTable>(*v1::PteTable_descriptor());
  ExpectSameNames<TableFree>(*v1::TableFree_descriptor());
  ExpectSameNames<FaultGuard>(*v1::FaultGuard_descriptor());
}

TEST(VocabularyTest, ExplanationsHaveTheCoresNames) {
  ExpectSameNames<FaultRung>(*v1::FaultRung_descriptor());
  ExpectSameNames<FaultKind>(*v1::FaultKind_descriptor());
  ExpectSameNames<LeaveReason>(*v1::LeaveReason_descriptor());
  ExpectSameNames<Activity>(*v1::Activity_descriptor());
}

TEST(VocabularyTest, CountersHaveTheCoresNames) {
  ExpectSameNames<FaultCounter>(*v1::FaultCounter_descriptor());
  ExpectSameNames<AllocEvent>(*v1::AllocEvent_descriptor());
  ExpectSameNames<MergeRefusal>(*v1::MergeRefusal_descriptor());
}

TEST(VocabularyTest, LockRanksHaveTheCoresNamesButForThoseOfTests) {
  const EnumDescriptor& api = *v1::LockRank_descriptor();
  Names expected = Expected<LockRank>(api);
  std::erase_if(expected,
                [](const std::string& name) { return absl::StartsWith(name, "LOCK_RANK_TEST_"); });
  EXPECT_THAT(NamesOf(api), ElementsAreArray(expected));
}

TEST(VocabularyTest, ViolationsHaveTheCoresNames) {
  const EnumDescriptor& api = *v1::ViolationKind_descriptor();
  constexpr auto kCount = static_cast<size_t>(ViolationKind::kStepLimit) + 1;
  EXPECT_THAT(NamesOf(api), ElementsAreArray(Expected<ViolationKind>(api, kCount)));
}

TEST(VocabularyTest, WhatTheCoreHasNoNamesForIsInItsOrder) {
  ExpectPairs<v1::AccessKind, AccessKind>({{v1::ACCESS_KIND_READ, AccessKind::kRead},
                                           {v1::ACCESS_KIND_WRITE, AccessKind::kWrite},
                                           {v1::ACCESS_KIND_EXEC, AccessKind::kExec}});
  ExpectPairs<v1::FaultMode, FaultMode>(
      {{v1::FAULT_MODE_USER, FaultMode::kUser}, {v1::FAULT_MODE_KERNEL, FaultMode::kKernel}});
  ExpectPairs<v1::PageContents, PageContents>({{v1::PAGE_CONTENTS_TAG, PageContents::kTag},
                                               {v1::PAGE_CONTENTS_BYTES, PageContents::kBytes}});
  ExpectPairs<v1::FailSite, FailSite>({{v1::FAIL_SITE_HEAP, FailSite::kHeap},
                                       {v1::FAIL_SITE_FRAME, FailSite::kFrame},
                                       {v1::FAIL_SITE_TABLE, FailSite::kTable}});
  ExpectPairs<v1::ReadMode, ReadMode>({{v1::READ_MODE_WHOLE_LOCK, ReadMode::kWholeLock},
                                       {v1::READ_MODE_PER_VMA, ReadMode::kPerVma},
                                       {v1::READ_MODE_RCU, ReadMode::kRcu}});
  ExpectPairs<v1::TableLevel, TableLevel>({{v1::TABLE_LEVEL_PTE, TableLevel::kPte},
                                           {v1::TABLE_LEVEL_PMD, TableLevel::kPmd},
                                           {v1::TABLE_LEVEL_PUD, TableLevel::kPud},
                                           {v1::TABLE_LEVEL_P4D, TableLevel::kP4d},
                                           {v1::TABLE_LEVEL_PGD, TableLevel::kPgd}});
  ExpectPairs<v1::LockMode, LockMode>(
      {{v1::LOCK_MODE_SHARED, LockMode::kShared}, {v1::LOCK_MODE_EXCLUSIVE, LockMode::kExclusive}});
  ExpectPairs<v1::LockStatsLevel, LockStatsLevel>(
      {{v1::LOCK_STATS_LEVEL_OFF, LockStatsLevel::kOff},
       {v1::LOCK_STATS_LEVEL_WAITS, LockStatsLevel::kWaits},
       {v1::LOCK_STATS_LEVEL_HOLDS, LockStatsLevel::kHolds}});
  ExpectPairs<v1::SearchStrategy, Strategy>({{v1::SEARCH_STRATEGY_DFS, Strategy::kDepthFirst},
                                             {v1::SEARCH_STRATEGY_PCT, Strategy::kPct}});
  ExpectPairs<v1::SearchPruning, Pruning>(
      {{v1::SEARCH_PRUNING_NONE, Pruning::kNone}, {v1::SEARCH_PRUNING_BPOR, Pruning::kBpor}});
  EXPECT_EQ(static_cast<int>(FailSite::kCount), 3) << "one more would be another pair";
}

TEST(VocabularyTest, NumbersThatAreNoValueAreNothingInTheCore) {
  EXPECT_EQ(server::FromApi<ReadMode>(v1::READ_MODE_UNSPECIFIED), std::nullopt);
  EXPECT_EQ(server::FromApi<ReadMode>(static_cast<v1::ReadMode>(4)), std::nullopt);
  EXPECT_EQ(server::FromApi<ReadMode>(static_cast<v1::ReadMode>(-1)), std::nullopt);
}

TEST(VocabularyTest, ErrnoHasTheCoresNamesAndNumbers) {
  std::map<std::string, int> core;
#define FAULTLINE_ENTRY(enumerator, name, number) core["ERRNO_" #name] = number;
  FAULTLINE_ERRNO_TABLE(FAULTLINE_ENTRY)
#undef FAULTLINE_ENTRY
  core["ERRNO_UNSPECIFIED"] = 0;

  std::map<std::string, int> api;
  const EnumDescriptor& numbers = *v1::Errno_descriptor();
  for (int i = 0; i < numbers.value_count(); ++i) {
    api[numbers.value(i)->name()] = numbers.value(i)->number();
  }
  EXPECT_EQ(api, core);
}

// OperationResults.rungs: a bit of its lowest byte for each rung, and a byte for each rung's
// reason.
TEST(VocabularyTest, RungsAndReasonsFitTheirBits) {
  EXPECT_LE(NamesOf(*v1::FaultRung_descriptor()).size(), 7u);
  const EnumDescriptor& reasons = *v1::LeaveReason_descriptor();
  for (int i = 0; i < reasons.value_count(); ++i) EXPECT_LE(reasons.value(i)->number(), 255);
}

}  // namespace
}  // namespace faultline
