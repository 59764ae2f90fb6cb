// SPDX-License-Identifier: Apache-2.0
//
// The vocabularies of the API and of the core are the same: for each enumerator that the core has a
// name for, the API has one that is called so, and the other way round. The rule: the core's name
// in capitals, what is no letter or digit as "_", behind the prefix of the API's enum.
//
// Numbers are compared for errno alone: elsewhere they are the API's own (proto/faultline/v1).
#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "core/base/errno.h"
#include "core/fault/fault_options.h"
#include "core/folio/watermarks.h"
#include "core/observe/activity.h"
#include "core/observe/fault_counters.h"
#include "core/observe/fault_reasons.h"
#include "core/sync/fail_points.h"
#include "core/sync/lock_rank.h"
#include "core/sync/modelled/execution.h"
#include "core/vma/merge.h"
#include "faultline/v1/common.pb.h"
#include "faultline/v1/lab.pb.h"
#include "faultline/v1/machine.pb.h"
#include "faultline/v1/statistics.pb.h"

namespace faultline {
namespace {

using google::protobuf::EnumDescriptor;
using ::testing::UnorderedElementsAreArray;
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

/// What the API calls its values, without the one that is UNSPECIFIED.
Names NamesOf(const EnumDescriptor& api) {
  Names names;
  for (int i = 0; i < api.value_count(); ++i) {
    if (api.value(i)->number() != 0) names.push_back(api.value(i)->name());
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
  EXPECT_THAT(NamesOf(api), UnorderedElementsAreArray(Expected<Core>(api))) << api.full_name();
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
  EXPECT_THAT(NamesOf(api), UnorderedElementsAreArray(expected));
}

TEST(VocabularyTest, ViolationsHaveTheCoresNames) {
  const EnumDescriptor& api = *v1::ViolationKind_descriptor();
  constexpr auto kCount = static_cast<size_t>(ViolationKind::kStepLimit) + 1;
  EXPECT_THAT(NamesOf(api), UnorderedElementsAreArray(Expected<ViolationKind>(api, kCount)));
}

// The core has no names for these.
TEST(VocabularyTest, FailSitesAreAsMany) {
  EXPECT_EQ(NamesOf(*v1::FailSite_descriptor()).size(), static_cast<size_t>(FailSite::kCount));
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
